# SPDX-License-Identifier: MIT
"""Choose QEMU's accelerator: KVM only if a trial boot with it succeeds."""

import os
from pathlib import Path

from harness import cache
from harness.machine import Options
from harness.vm import VM, MachineFailure

_SECONDS = 20
# The panic message of a kernel that has neither an initramfs nor a root filesystem: it has booted.
_REACHED = "Unable to mount root fs"


def best(kernel: Path) -> str:
    """Return `kvm` or `tcg`.

    The result of the trial boot is cached by guest kernel and host kernel.
    """
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
