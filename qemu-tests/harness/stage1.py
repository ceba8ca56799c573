# SPDX-License-Identifier: MIT
"""How long stage 1 takes in the tiny guest, in virtual time: an instruction is a nanosecond."""

import re
import statistics

from harness.tiny import Tiny
from harness.vm import VM, Drive, Options

RUNS = 3
_LAST = "initoverlayfs: exec /init"


def took_ms(console: str) -> float:
    """Milliseconds from `Run /init` to the exec of stage 2's init. ValueError if not in the log."""
    times = []
    for text in ("Run /init as init process", _LAST):
        match = re.search(rf"\[\s*([0-9.]+)\].*{text}", console)
        if not match:
            raise ValueError(f"{text!r} is not in the console's log:\n{console}")
        times.append(float(match[1]))
    return round((times[1] - times[0]) * 1000, 1)


def median_ms(tiny: Tiny) -> float:
    """The median of a few boots from an ext4 disk, with one processor. Raises MachineFailure.

    Unlike Tiny.boot, time jumps to the next timer where nothing runs: otherwise the host's own
    slowness would be in the figure.
    """
    initrd = tiny.configured().write(tiny.directory / "initrd-stage1")
    options = Options(
        kernel=tiny.guest.kernel,
        initrd=initrd,
        cmdline="console=ttyS0 loglevel=7",
        drives=(Drive(tiny.disk()),),
        smp=1,
        memory=512,
        icount=True,
        timeout=400,
    )
    found = []
    for _ in range(RUNS):
        with VM(options) as vm:
            vm.wait_console(_LAST, options.timeout)
            found.append(took_ms(vm.console))
            print(f"stage 1 in virtual time: {found[-1]} ms", flush=True)
    return statistics.median(found)
