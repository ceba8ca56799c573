# SPDX-License-Identifier: MIT
"""The state of an attempt. Each attempt starts with a new one."""

from collections import namedtuple

from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Sequence, Tuple

    from storage_init.boot.images import Image
    from storage_init.boot.step import Attempt
    from storage_init.devices.finder import Device
    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.log import Log

# The block device that the image is attached to: its path, an open descriptor of the loop device
# below it, and its device-mapper name, "" if it is the loop device itself.
Backing = namedtuple("Backing", ("device", "fd", "name"))


class AttemptState:
    """The device, the image and the init of an attempt, and what boot.json reports of it.

    plan: all attempts, of which this one has the name. position: (name, number of the step). other:
    the device to use in place of the first one that matches.
    """

    def __init__(
        self, plan: "Sequence[Attempt]", name: str, mode: str, other: "Optional[Device]" = None
    ) -> None:
        self.plan = plan
        self.position: Tuple[str, int] = (name, 0)
        self.report: Dict[str, object] = {"mode": mode, "attempt": name}
        self.other = other
        self.each_match = ""
        self.device: Optional[Device] = None
        self.image: Optional[Image] = None
        self.backing: Optional[Backing] = None
        self.init = ""
        self.root_read_only = False
        self.hash_modules: List[str] = []
        self.mounted = ""

    def take_step(self, number: int) -> None:
        """Note which step runs."""
        self.position = (self.position[0], number)

    def take_device(self, device: "Device") -> None:
        """Note the device that holds the boot or the root filesystem."""
        self.device = device

    def take_each_match(self, reference: str) -> None:
        """Note that the attempt may be made with each device that matches the reference."""
        self.each_match = reference

    def take_filesystem(self, fstype: str) -> None:
        """Note that the device is used, and as which type of filesystem."""
        assert self.device
        self.report["device"] = self.device.path
        self.report["fstype"] = fstype

    def take_mounted(self, how: str) -> None:
        """Note how the boot filesystem was mounted, see boot.view."""
        self.mounted = how

    def take_image(self, image: "Image") -> None:
        """Note which file is the image."""
        self.image = image

    def take_attached(self, path: str, how: str, root_hash: str) -> None:
        """Note how the image was attached. root_hash: by which it is verified, or ""."""
        self.report["image"] = path
        self.report["attach"] = how
        self.report["verity"] = root_hash

    def take_init(self, init: str) -> None:
        """Note the path of the next init."""
        self.init = init

    def take_hash_modules(self, names: "List[str]") -> None:
        """Note the modules that compute hashes on this CPU, the preferred ones first."""
        self.hash_modules = names

    def take_root_read_only(self) -> None:
        """Note that the discovered root partition is marked read-only."""
        self.root_read_only = True

    def take_backing(self, device: str, fd: int, name: str = "") -> None:
        """Note the block device made for the image; see Backing."""
        self.backing = Backing(device, fd, name)

    def release_backing(self, kernel: "Kernel", log: "Log") -> None:
        """Let go of the image's block devices: each disappears with its last user."""
        if self.backing is None:
            return
        _, fd, name = self.backing
        self.backing = None
        kernel.close(fd)
        try:
            if name:
                kernel.dm_remove(name)
        except OSError as error:  # it stays and holds the loop device, which harms no boot
            log.warning(reason(error))
