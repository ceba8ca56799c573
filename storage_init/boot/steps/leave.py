# SPDX-License-Identifier: MIT
"""Steps that leave the initramfs for the new root."""

import json

from storage_init.boot import switchroot
from storage_init.boot.step import NEW_ROOT, Step
from storage_init.config.boot_settings import BREAK
from storage_init.kernel.abi import EINVAL, ENOENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

    from storage_init.boot.machine import Machine
    from storage_init.boot.state import AttemptState
    from storage_init.kernel.calls import Kernel

REPORT = "/run/initoverlayfs/boot.json"

# Words the kernel took for environment that would steer an interpreter or a dynamic linker.
_DROPPED = (b"MICROPY", b"PYTHON", b"LD_")


def detach(kernel: "Kernel", target: str) -> None:
    """Detach the mount on a directory. A directory without one, or none at all, is no error."""
    try:
        kernel.detach(target)
    except OSError as error:
        if error.errno not in (EINVAL, ENOENT):
            raise


class Detach(Step):
    """Take mounts out of the tree, so that they end with their last user in the new root."""

    def __init__(self, targets: "Tuple[str, ...]") -> None:
        self.targets = targets

    def describe(self) -> str:
        return "detach " + " ".join(self.targets)

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        for target in self.targets:
            detach(machine.kernel, target)


class WriteReport(Step):
    """Write how this boot came about to boot.json in /run, which the next systems keep."""

    def describe(self) -> str:
        return "write " + REPORT

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        machine.kernel.mkdir(REPORT[: REPORT.rfind("/")])
        machine.kernel.write_file(REPORT, json.dumps(attempt.report).encode())


class SwitchRoot(Step):
    """Move the API filesystems, make the new root this process's root, delete the initramfs."""

    break_point = BREAK

    def describe(self) -> str:
        text = "move /dev /proc /sys /run, switch root to {}, delete the initramfs"
        return text.format(NEW_ROOT)

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        how = switchroot.switch_root(machine.kernel, machine.log, NEW_ROOT)
        machine.leave()  # not before: if the switch fails, the next attempt needs what it closes
        machine.log.info("root switched: " + how)


class ExecInit(Step):
    """Become the next init. Returns only by raising."""

    def describe(self) -> str:
        return "execute the init with the kernel's arguments"

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        kernel = machine.kernel
        environment = next_environment(kernel.read_file("/proc/self/environ"))
        machine.log.info("exec " + attempt.init)
        kernel.execve(attempt.init, [attempt.init] + machine.arguments, environment)


def next_environment(environ: bytes) -> "List[bytes]":
    """Return what the next init gets of /proc/self/environ: all but what steers interpreters."""
    words = [word for word in environ.split(b"\0") if b"=" in word]
    return [word for word in words if not word.startswith(_DROPPED)]
