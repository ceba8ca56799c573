# SPDX-License-Identifier: MIT
"""Steps that lead to the image's file on the boot filesystem."""

from storage_init.boot import extents, images, view
from storage_init.boot.images import Image
from storage_init.boot.step import BOOT, Step
from storage_init.devices import modprobe
from storage_init.formats import ext4
from storage_init.kernel import devmapper
from storage_init.kernel.failure import BootFailure
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple

    from storage_init.boot.images import Choice
    from storage_init.boot.machine import Machine
    from storage_init.boot.state import AttemptState

# The device-mapper device that joins the pieces of an image.
_JOINED = "initoverlayfs-image"


def to_mount(machine: "Machine", attempt: "AttemptState", fstype: str) -> "Tuple[str, str]":
    """Return the attempt's device and the type to mount it as, whose driver is then loaded.

    fstype: the configured types, "" for the detected one. Raises BootFailure if no type is known,
    and for a member of a larger device.
    """
    assert attempt.device
    path, filesystem, kind = attempt.device
    if not filesystem and kind != "unknown":
        raise BootFailure("{} holds {}, no filesystem: that takes stage 2".format(path, kind))
    if not fstype and not filesystem:
        raise BootFailure("{} holds no filesystem that is known here: set its type".format(path))
    fstype = choose_type(machine, fstype, filesystem.type if filesystem else "")
    machine.need_filesystem(fstype)
    attempt.take_filesystem(fstype)
    return path, fstype


def choose_type(machine: "Machine", types: str, detected: str) -> str:
    """Return the type to mount a filesystem as.

    types: the configured type, a comma-separated list, or "". Of a list, it is the detected type if
    the list contains it, else the first one with a driver.
    """
    names = types.split(",")
    if len(names) == 1:
        return types or detected
    if detected in names:
        return detected
    drivers = machine.kernel.read_text("/proc/filesystems").split()
    for name in names:
        if name in drivers or machine.loader.has(modprobe.of_filesystem(name)):
            return name
    return names[0]


class MountBoot(Step):
    """Mount the boot filesystem without a write to its device.

    fstype: "" if it is detected. verified: whether dm-verity checks the image. writable_root: if
    the boot filesystem stays mounted, what `root=` names if stage 2 mounts it read-write; else "".
    """

    break_point = "boot"

    def __init__(self, fstype: str, options: str, verified: bool, writable_root: str) -> None:
        self.fstype = fstype
        self.options = options
        self.verified = verified
        self.writable_root = writable_root

    def describe(self) -> str:
        options = ",".join(["ro"] + ([self.options] if self.options else []))
        text = "mount the boot filesystem on {} type {} {}, through a read-only loop device"
        return text.format(BOOT, self.fstype or "(detected)", options)

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        path, fstype = to_mount(machine, attempt, self.fstype)
        if self.writable_root and machine.finder.is_named(path, self.writable_root):
            text = "{} is also the root filesystem: bootfs_mount always keeps it mounted read-only,"
            text += " and the kernel command line says rw; put ro there to boot from the image"
            raise BootFailure(text.format(path))
        how = view.mount(machine, path, fstype, self.options, BOOT, self.verified)
        attempt.take_mounted(how)


class LocateImage(Step):
    """Choose the file that is the image, and attach its bytes on the device to a block device.

    Strategies, in this order: read the structures of an ext4 whose driver is not loaded, which
    spares loading it; mount the boot filesystem, take the extents of the file and unmount; if the
    extents cannot be used, copy the file into memory. Afterwards nothing uses the boot filesystem.

    unmounted: whether the first is allowed. mount: the step for the second, None if an earlier step
    has mounted the boot filesystem. stay: leave it mounted, and the image in its file.
    """

    break_point = "image"

    def __init__(
        self, choice: "Choice", unmounted: bool, mount: "Optional[MountBoot]", stay: bool
    ) -> None:
        self.choice = choice
        self.unmounted = unmounted
        self.mount = mount
        self.stay = stay

    def describe(self) -> str:
        text = "locate " + self.choice.describe()
        if self.unmounted:
            text += "; without mounting if it is on an ext4 whose driver is not loaded, otherwise"
        elif self.mount:
            text += ";"
        text += " " + self.mount.describe() if self.mount else ""
        return text + ("" if self.stay else ", and unmount it")

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        image = self._read(machine, attempt) if self.unmounted else None
        if image is None:
            if self.mount:
                self.mount.run(machine, attempt)
            image = self.choice.choose(lambda name: images.look(machine.kernel, BOOT, name))
            if not self.stay:
                image = _release(machine, attempt, image)
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


def _release(machine: "Machine", attempt: "AttemptState", image: "Image") -> "Image":
    """Attach the image of the mounted boot filesystem, unmount that, and return the image.

    Raises BootFailure, saying why, if the image can be neither attached nor copied.
    """
    kernel = machine.kernel
    assert attempt.device
    device = attempt.device.path
    kind = str(attempt.report["fstype"])
    fd = kernel.open_beneath(BOOT, image.path)
    try:
        try:
            whole = attempt.mounted == view.REPLAYED
            places = extents.pieces(kernel, fd, image.path, image.size, kind, device, whole)
            image = Image(image.path, image.filesystem, image.size, places)
            _attach_pieces(machine, attempt, device, image)
        except (OSError, BootFailure) as error:
            attempt.release_backing(kernel, machine.log)
            text = "image {} is copied into memory: {}"
            machine.log.warning(text.format(image.path, reason(error)))
            from storage_init.boot import memory  # importing it costs time, and few boots need it

            loop, copy = memory.copy(kernel, fd, image.path, image.size)
            attempt.take_backing(loop, copy)
            image = Image(image.path, image.filesystem, image.size, [])
    finally:
        kernel.close(fd)
    view.umount(machine, kind, BOOT)
    return image


def _attach_pieces(
    machine: "Machine", attempt: "AttemptState", device: str, image: "Image"
) -> None:
    """Attach the image through a loop device, joined by device-mapper if it is in several pieces.

    A device-mapper device on the partition itself would claim it exclusively. A loop device over
    the whole partition would show its superblock, and udev would link to the loop device.
    """
    kernel = machine.kernel
    start = min([offset for offset, _ in image.pieces])
    if len(image.pieces) == 1:
        loop, fd = kernel.loop_attach(device, start, image.size)
        attempt.take_backing(loop, fd)
        return
    machine.workers.settle("dm_mod")
    end = max([offset + size for offset, size in image.pieces])
    loop, fd = kernel.loop_attach(device, start, end - start)
    attempt.take_backing(loop, fd)
    places = [(offset - start, size) for offset, size in image.pieces]
    path = kernel.dm_create(_JOINED, devmapper.pieces(loop, places, image.size))
    attempt.take_backing(path, fd, _JOINED)
