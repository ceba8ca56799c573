# SPDX-License-Identifier: MIT
"""Steps that prepare the new root and its init."""

from storage_init.boot import mounts, switchroot
from storage_init.boot.step import IMAGE, NEW_ROOT, OVERLAY, Step
from storage_init.boot.steps.locate import to_mount
from storage_init.kernel.abi import ENODEV, MS_RDONLY
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple

    from storage_init.boot.machine import Machine
    from storage_init.boot.state import AttemptState
    from storage_init.config.root import Root


class MountOverlay(Step):
    """Stack a tmpfs on the image; both together are the new root. options: of the tmpfs."""

    break_point = "overlay"

    def __init__(self, options: str) -> None:
        self.options = options

    def describe(self) -> str:
        text = "mount an overlay of a tmpfs ({}) and the image on {}"
        return text.format(self.options, NEW_ROOT)

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        machine.need_filesystem("overlay")
        mounts.overlay(machine.kernel, machine.log, IMAGE, OVERLAY, self.options, NEW_ROOT)


class MountRoot(Step):
    """Mount the root filesystem as the new root, as the kernel would without an initramfs."""

    def __init__(self, root: "Root") -> None:
        self.root = root

    def describe(self) -> str:
        ways = ("rw" if self.root.writable else "ro", self.root.options)
        return "mount the root filesystem on {} type {} {}".format(
            NEW_ROOT, self.root.fstype or "(detected)", ",".join([way for way in ways if way])
        )

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        path, fstype = to_mount(machine, attempt, self.root.fstype)
        flags, data = mounts.options(self.root.options, 0)
        writable = self.root.writable and not attempt.root_read_only
        flags = flags & ~MS_RDONLY if writable else flags | MS_RDONLY
        try:
            mounts.mount(machine.kernel, machine.log, path, fstype, flags, data, NEW_ROOT)
        except OSError as error:
            if error.errno != ENODEV:
                raise
            raise OSError(ENODEV, reason(error) + ": there is no driver here for " + fstype)


class ChooseInit(Step):
    """Choose the next init: the first of these paths in the new root that can be run."""

    def __init__(self, candidates: "Tuple[str, ...]") -> None:
        self.candidates = candidates

    def describe(self) -> str:
        return "choose the init: the first program among " + " ".join(self.candidates)

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        attempt.take_init(switchroot.choose_init(machine.kernel, NEW_ROOT, self.candidates))


class ReadInit(Step):
    """Read the next init and the files that it cannot start without.

    dm-verity reports a corrupted block when it is read, and now another attempt can still follow.
    """

    def __init__(self, needs: "Tuple[str, ...]") -> None:
        self.needs = needs

    def describe(self) -> str:
        text = "read the init and {} files that it needs, while another attempt can still follow"
        return text.format(len(self.needs))

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        kernel = machine.kernel
        kernel.read_through(switchroot.inside(kernel, NEW_ROOT, attempt.init))
        for path in self.needs:
            kernel.read_through(NEW_ROOT + path)
