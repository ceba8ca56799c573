# SPDX-License-Identifier: MIT
"""The objects that all attempts of a boot share."""

from storage_init.devices import modprobe
from storage_init.devices.finder import DeviceMissing, Finder
from storage_init.devices.scsi import Scan
from storage_init.devices.workers import Workers
from storage_init.kernel.children import Children
from storage_init.kernel.failure import BootFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from storage_init.devices.finder import Device
    from storage_init.devices.modprobe import Loader
    from storage_init.devices.uevent import Events
    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.log import Log


class StillMissing(BootFailure):
    """A device is not there for which an earlier attempt has waited, and has said so."""


class Machine:
    """The kernel, the log, the module loader and the search for devices.

    mode: INIT or SYSTEMD. What differs between the modes is passed in: the loader, with the module
    tables or with none, and the events, the kernel's or udev's. arguments: those for the next init.
    """

    def __init__(
        self,
        kernel: "Kernel",
        log: "Log",
        mode: str,
        loader: "Loader",
        events: "Events",
        arguments: "List[str]",
    ) -> None:
        self.kernel = kernel
        self.log = log
        self.mode = mode
        self.arguments = arguments
        self.loader = loader
        self.children = Children(kernel, log)
        self.workers = Workers(kernel, log, loader, self.children)
        self.finder = Finder(kernel, log, self.workers, events)
        self.root_switched = False  # no attempt can follow then
        self._waited_for: List[str] = []
        self._missing: List[str] = []

    def close(self) -> None:
        """Close every descriptor, so that another Machine can take its place."""
        self.finder.close()
        self.children.close()

    def find(self, reference: str, timeout: int, hint: str) -> "Device":
        """Return the device that the reference names, waiting at most `timeout` seconds for it.

        An attempt that looks for a device that another one has waited for looks once. Raises
        DeviceMissing the first time, StillMissing after that.
        """
        if reference in self._waited_for:
            timeout = 0
        self._waited_for.append(reference)
        try:
            return self.finder.find(reference, timeout, hint)
        except DeviceMissing:
            if reference in self._missing:
                raise StillMissing(reference + " is still not there")
            self._missing.append(reference)
            raise

    def scan_scsi(self, address: str) -> None:
        """Have this SCSI address scanned as soon as its host is there."""
        # SCSI hosts are numbered in the order in which they are found.
        self.workers.one_at_a_time()
        self.finder.scan_scsi(Scan(self.kernel, self.log, self.children, address))

    def need_filesystem(self, fstype: str) -> None:
        """Load the driver of this type of filesystem, if the kernel has none yet."""
        self.workers.settle(modprobe.of_filesystem(fstype))

    def leave(self) -> None:
        """Note that the root was switched, and close what the next init must not inherit."""
        self.root_switched = True
        self.close()
