# SPDX-License-Identifier: MIT
"""Steps that lead to the image's file on the boot filesystem."""

from storage_init.boot import images, mounts
from storage_init.boot.step import BOOT, Step
from storage_init.formats import ext4
from storage_init.kernel import devmapper
from storage_init.kernel.failure import BootFailure
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple

    from storage_init.boot.images import Choice, Image
    from storage_init.boot.machine import Machine
    from storage_init.boot.state import AttemptState

# The device-mapper device that joins the pieces of an image.
_JOINED = "initoverlayfs-image"


def to_mount(machine: "Machine", attempt: "AttemptState", fstype: str) -> "Tuple[str, str]":
    """Return the attempt's device and the type to mount it as, whose driver is then loaded.

    fstype: the configured type, "" for the detected one. Raises BootFailure if neither is known.
    """
    assert attempt.device
    path, filesystem, kind = attempt.device
    if not fstype and not filesystem:
        text = "{} holds no filesystem that is known here: set its type"
        if kind != "unknown":
            text = "{} holds {}, no filesystem: that takes stage 2"
        raise BootFailure(text.format(path, kind))
    fstype = fstype or filesystem.type
    machine.need_filesystem(fstype)
    attempt.take_filesystem(fstype)
    return path, fstype


class MountBoot(Step):
    """Mount the boot filesystem read-only.

    fstype: "" if it is detected. writable_root: what `root=` names if stage 2 mounts it read-write,
    else "".
    """

    break_point = "boot"

    def __init__(self, fstype: str, options: str, writable_root: str) -> None:
        self.fstype = fstype
        self.options = options
        self.writable_root = writable_root

    def describe(self) -> str:
        options = ",".join(["ro"] + ([self.options] if self.options else []))
        text = "mount the boot filesystem on {} type {} {}"
        return text.format(BOOT, self.fstype or "(detected)", options)

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        """Raises BootFailure if it is the root filesystem and that is to be read-write.

        The image keeps it mounted read-only, and the kernel mounts no filesystem both ways, except
        btrfs.
        """
        path, fstype = to_mount(machine, attempt, self.fstype)
        root = self.writable_root
        if root and fstype != "btrfs" and machine.finder.is_named(path, root):
            text = "{} is also the root filesystem: the image would keep it mounted read-only, and"
            text += " the kernel command line says rw; put ro there to boot from the image"
            raise BootFailure(text.format(path))
        mounts.boot_filesystem(machine.kernel, machine.log, path, fstype, self.options, BOOT)


class LocateImage(Step):
    """Choose the file that is the image.

    Strategies, in this order: read the structures of an ext4 whose driver is not loaded, which
    spares loading it; mount the boot filesystem and look there; look where it is mounted already.

    unmounted: whether the first is allowed. mount: the step for the second, None for the third.
    """

    break_point = "image"

    def __init__(self, choice: "Choice", unmounted: bool, mount: "Optional[MountBoot]") -> None:
        self.choice = choice
        self.unmounted = unmounted
        self.mount = mount

    def describe(self) -> str:
        text = "locate " + self.choice.describe()
        if self.unmounted:
            text += "; without mounting if it is on an ext4 whose driver is not loaded, otherwise"
        elif self.mount:
            text += ";"
        return text + (" " + self.mount.describe() if self.mount else "")

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        image = self._read(machine, attempt) if self.unmounted else None
        if image is None:
            if self.mount:
                self.mount.run(machine, attempt)
            image = self.choice.choose(lambda name: images.look(machine.kernel, BOOT, name))
        attempt.take_image(image)

    def _read(self, machine: "Machine", attempt: "AttemptState") -> "Optional[Image]":
        """Return the image, with its block device made; None if the filesystem has to be mounted.

        Its device is made here, since any failure up to it leaves mounting the boot filesystem to
        be tried. What is wrong with the image itself is reported once that is mounted.
        """
        assert attempt.device
        device, _, kind = attempt.device
        if kind != ext4.TYPE:
            return None
        try:
            if kind in machine.kernel.read_text("/proc/filesystems").split():
                return None
            image = self.choice.choose(lambda name: images.look_on(machine.kernel, device, name))
            machine.workers.settle("loop")
            _attach_pieces(machine, attempt, device, image)
        except (OSError, BootFailure) as error:
            attempt.release_backing(machine.kernel, machine.log)
            machine.log.debug("{} has to be mounted: {}".format(device, reason(error)))
            return None
        attempt.take_filesystem(kind)
        return image


def _attach_pieces(
    machine: "Machine", attempt: "AttemptState", device: str, image: "Image"
) -> None:
    """Attach the image through a loop device, joined by device-mapper if it is in several pieces.

    A device-mapper device on the partition itself would claim it exclusively.
    """
    kernel = machine.kernel
    if len(image.pieces) == 1:
        loop, fd = kernel.loop_attach(device, image.pieces[0][0], image.size)
        attempt.take_backing(loop, fd)
        return
    machine.workers.settle("dm_mod")
    end = max([offset + size for offset, size in image.pieces])
    loop, fd = kernel.loop_attach(device, 0, end)
    attempt.take_backing(loop, fd)
    joined = devmapper.pieces(loop, image.pieces, image.size)
    path = kernel.dm_create(_JOINED, joined)
    attempt.take_backing(path, fd, _JOINED)
