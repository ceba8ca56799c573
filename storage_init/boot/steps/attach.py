# SPDX-License-Identifier: MIT
"""Steps that mount the image."""

from storage_init.boot import images, mounts, verity
from storage_init.boot.step import BOOT, IMAGE, Step
from storage_init.boot.steps.locate import choose_type, to_mount
from storage_init.config.values import ITSELF
from storage_init.formats.binding import SIGNATURE
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from storage_init.boot.machine import Machine
    from storage_init.boot.state import AttemptState
    from storage_init.formats.binding import Verity


class _Attach(Step):
    """The base of both steps.

    fstype: of the image, "" if it is detected. verity: what verifies it, None for nothing.
    corruption: the reaction to a block whose hash does not match, as in the settings.
    """

    def __init__(self, fstype: str, verity: "Optional[Verity]", corruption: str) -> None:
        self.fstype = fstype
        self.verity = verity
        self.corruption = corruption

    def _verified(self, joint: str) -> str:
        """Return the end of the description: how the image is verified, after this word."""
        if self.verity is None:
            return ""
        text = " {} dm-verity, root hash {} (at a corrupted block: {})"
        return text.format(joint, self.verity.root_hash, self.corruption)

    def _mount_device(
        self, machine: "Machine", attempt: "AttemptState", device: str, fstype: str
    ) -> None:
        """Mount a block device that is the image, through dm-verity if it is verified."""
        kernel = machine.kernel
        if self.verity is None:
            mounts.device(kernel, device, fstype, IMAGE)
            return
        for module in attempt.hash_modules:
            try:
                machine.workers.settle(module)
            except OSError as error:  # with none at all, dm-verity refuses its table
                machine.log.debug(reason(error))
        machine.workers.settle(verity.MODULE)
        signature = kernel.read_file(SIGNATURE) if kernel.exists(SIGNATURE) else b""
        verity.mount(kernel, device, fstype, IMAGE, self.verity, self.corruption, signature)

    def _report(
        self, machine: "Machine", attempt: "AttemptState", where: str, path: str, by: str, how: str
    ) -> None:
        """Log how the image was attached, and note it for boot.json.

        where: the path for people. by: file, loop or device.
        """
        root_hash = self.verity.root_hash if self.verity else ""
        checked = ", verified by root hash " + root_hash if root_hash else ""
        machine.log.info("image {} attached: {}{}".format(where, how, checked))
        attempt.take_attached(path, by, root_hash)


class AttachImage(_Attach):
    """Mount the image that was located in a file of the boot filesystem."""

    def describe(self) -> str:
        how = "through a loop device" if self.verity else "from its file or through a loop device"
        text = "mount the image on {} type {} {}{}"
        return text.format(IMAGE, self.fstype or "(detected)", how, self._verified("and"))

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        assert attempt.image and attempt.device
        path, _, size, pieces = attempt.image
        fstype = self.fstype
        if not fstype:
            fstype = images.type_of(attempt.image)
        elif "," in fstype:
            detected = attempt.image.filesystem.type if attempt.image.filesystem else ""
            fstype = choose_type(machine, fstype, detected)
        machine.need_filesystem(fstype)
        if self.verity and not attempt.backing:
            machine.workers.settle("loop")
            loop, fd = machine.kernel.loop_attach(BOOT + path)
            attempt.take_backing(loop, fd)
        if attempt.backing:
            device, _, name = attempt.backing
            self._mount_device(machine, attempt, device, fstype)
            by = "loop"
            how = "{} {} {}".format("loop as" if name else "loop", device, fstype)
            attempt.release_backing(machine.kernel, machine.log)
        else:
            by, how = mounts.image(machine.kernel, machine.loader, BOOT + path, fstype, IMAGE)
        if len(pieces) == 1:
            how += ", {} bytes from {} on of {}".format(size, pieces[0][0], attempt.device.path)
        elif pieces:
            how += ", {} bytes in {} pieces of {}".format(size, len(pieces), attempt.device.path)
        self._report(machine, attempt, path, path, by, how)


class AttachDevice(_Attach):
    """Mount the image that lies straight on a device, without a boot filesystem.

    uuid: the image ID that it must have, "" for any.
    """

    break_point = "image"

    def __init__(self, uuid: str, fstype: str, verity: "Optional[Verity]", corruption: str) -> None:
        super().__init__(fstype, verity, corruption)
        self.uuid = uuid

    def describe(self) -> str:
        which = "image " + self.uuid if self.uuid else "an image"
        text = "mount the device, which must be {}, on {} type {}{}"
        return text.format(which, IMAGE, self.fstype or "(detected)", self._verified("through"))

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        path, fstype = to_mount(machine, attempt, self.fstype)
        assert attempt.device
        images.require(self.uuid, path, attempt.device.filesystem)
        self._mount_device(machine, attempt, path, fstype)
        self._report(machine, attempt, path, ITSELF, "device", "device " + fstype)


class CheckRelease(Step):
    """Refuse an image that has kernel modules, but none for the running kernel."""

    def __init__(self, release: str) -> None:
        self.release = release

    def describe(self) -> str:
        text = "check that the image has modules for Linux {}, if it has any"
        return text.format(self.release)

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        images.require_release(machine.kernel, IMAGE, self.release)
