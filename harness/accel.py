# SPDX-License-Identifier: MIT
"""Which accelerator works here: KVM is believed only after it has booted a kernel."""

import os
from pathlib import Path

from harness import cache
from harness.machine import Options
from harness.vm import VM, MachineFailure

_SECONDS = 20
# Where a kernel without initramfs and root ends: it came that far.
_REACHED = "Unable to mount root fs"


def best(kernel: Path) -> str:
    """`kvm` or `tcg`: found out once for a kernel, a host kernel and a cache."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    key = cache.digest(kernel, os.uname().release, os.uname().version)
    note = cache.home() / ("accel-" + key)
    with cache.lock("accel"):
        if not note.exists():
            note.write_text("kvm" if _boots(kernel) else "tcg")
        return note.read_text()


def _boots(kernel: Path) -> bool:
    options = Options(
        kernel=kernel, cmdline="console=ttyS0", accel="kvm", memory=512, timeout=_SECONDS
    )
    try:
        with VM(options) as vm:
            vm.wait_console(_REACHED, _SECONDS)
            return True
    except MachineFailure:
        return False
