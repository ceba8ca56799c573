# SPDX-License-Identifier: MIT
"""The steps that find a device, and what an attempt knows of it afterwards."""

from storage_init.config import root
from storage_init.devices import sysfs
from storage_init.devices.finder import Finder
from storage_init.devices.scsi import Scan
from storage_init.devices.workers import Workers
from storage_init.formats import elf
from storage_init.kernel.abi import ENODEV, ENOTUNIQ, ETIMEDOUT
from storage_init.kernel.children import Children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

    from storage_init.devices.finder import Device
    from storage_init.devices.modprobe import Loader
    from storage_init.devices.uevent import Events
    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.log import Log


class Missing(Exception):
    """A device that another attempt has waited for in vain, and has said so, is still not there."""


class Search:
    """One method for each step that finds a device; steps.Steps has the rest."""

    def __init__(self, kernel: "Kernel", log: "Log", loader: "Loader", events: "Events") -> None:
        self._kernel = kernel
        self._log = log
        self._children = Children(kernel, log)
        self._workers = Workers(kernel, log, loader, self._children)
        self._finder = Finder(kernel, log, self._workers, events)
        self._device: Optional[Device] = None
        self._waited: List[str] = []  # references that an attempt has looked for
        self._missing: List[str] = []  # those of them that it did not find
        self._read_only = False  # whether the root partition is marked so

    def close(self) -> None:
        """Close what it holds open, for another Boot to take its place."""
        self._finder.close()
        self._children.close()

    def scan_scsi(self, address: str) -> None:
        # SCSI hosts have numbers in the order in which they are found.
        self._workers.one_at_a_time()
        self._finder.scan_scsi(Scan(self._kernel, self._log, self._children, address))

    def find(self, reference: str, timeout: int, hint: str, what: str) -> None:
        self._device = self._look_for(reference, timeout, hint)
        path, _, kind = self._device
        self._log.info("{} {} is {} ({})".format(what, reference, path, kind))

    def _look_for(self, reference: str, timeout: int, hint: str) -> "Device":
        if reference in self._waited:
            timeout = 0  # by another attempt: one look is enough
        self._waited.append(reference)
        try:
            return self._finder.find(reference, timeout, hint)
        except OSError as error:
            if error.errno != ETIMEDOUT:
                raise
            if reference in self._missing:
                raise Missing(reference + " is still not there")
            self._missing.append(reference)
            raise

    def delay(self, seconds: int) -> None:
        self._log.info("rootdelay: {} s".format(seconds))
        self._finder.load_drivers(seconds)

    def discover(self, reference: str, timeout: int, hint: str, wait: int) -> None:
        """Find the root partition on the disk that holds the boot filesystem."""
        boot = self._look_for(reference, timeout, hint)
        disk, table = self._finder.around(boot)
        if not disk:
            text = "boot filesystem {} is no partition, so no disk is searched: set root="
            raise OSError(ENODEV, text.format(boot.path))
        found = root.discover(table, elf.own(self._kernel), sysfs.device_path(disk))
        self._read_only = root.read_only(found)
        path = sysfs.partition_path(disk, found.number)
        self.find(path, wait, "", "root partition")
        self._finder.warn_of_others(reference, boot)
        if reference in self._finder.ambiguous:
            text = "{} names two devices, so which disk holds the root is not known: set root="
            raise OSError(ENOTUNIQ, text.format(reference))

    def compare(self, reference: str) -> None:
        assert self._device
        self._finder.warn_of_others(reference, self._device)
