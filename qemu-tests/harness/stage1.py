# SPDX-License-Identifier: MIT
"""How long stage 1 takes in the tiny guest, in virtual time: an instruction is a nanosecond."""

import re
import statistics

from harness.tiny import Tiny
from harness.vm import Drive, Ending

RUNS = 3


def took_ms(console: str) -> float:
    """Milliseconds from `Run /init` to the exec of stage 2's init. ValueError if not in the log."""
    times = []
    for text in ("Run /init as init process", "initoverlayfs: exec /init"):
        match = re.search(rf"\[\s*([0-9.]+)\].*{text}", console)
        if not match:
            raise ValueError(f"{text!r} is not in the console's log:\n{console}")
        times.append(float(match[1]))
    return round((times[1] - times[0]) * 1000, 1)


def median_ms(tiny: Tiny) -> float:
    """The median of a few boots from an ext4 disk, with one processor."""
    found = []
    for _ in range(RUNS):
        outcome = tiny.boot(
            tiny.configured(), [Drive(tiny.disk())], "loglevel=7", smp=1, icount=True
        )
        assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
        found.append(took_ms(outcome.console))
    print("stage 1 in virtual time, ms:", *found)
    return statistics.median(found)
