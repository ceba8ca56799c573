# SPDX-License-Identifier: MIT
"""Steps that find a device."""

from storage_init.boot.step import OTHER_TIMEOUT, Step
from storage_init.config import root
from storage_init.devices import sysfs
from storage_init.formats import elf
from storage_init.kernel.failure import BootFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

    from storage_init.boot.machine import Machine
    from storage_init.boot.state import AttemptState


class ScanScsi(Step):
    """Have one SCSI address scanned: host:channel:target:lun."""

    def __init__(self, address: str) -> None:
        self.address = address

    def describe(self) -> str:
        return "scan SCSI address {} as soon as its host appears".format(self.address)

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        machine.scan_scsi(self.address)


class Delay(Step):
    """Load drivers for so many seconds before anything is looked for (rootdelay=)."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def describe(self) -> str:
        return "load drivers for {} s before looking for a device".format(self.seconds)

    def waits(self) -> "List[Tuple[str, int]]":
        return [("delay", self.seconds)]

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        machine.log.info("rootdelay: {} s".format(self.seconds))
        machine.finder.load_drivers(self.seconds)


class FindDevice(Step):
    """Wait for the device that a reference names.

    what: the filesystem expected on it, for the log. hint: a device to look at first, or "". each:
    if the attempt fails, make it with the next device that matches.
    """

    break_point = "find"

    def __init__(
        self, what: str, reference: str, timeout: int, hint: str = "", each: bool = False
    ) -> None:
        self.each = each and not reference.startswith("/dev/")
        self.what = what
        self.reference = reference
        self.timeout = timeout
        self.hint = hint

    def describe(self) -> str:
        text = "wait up to {} s for the {} {}"
        text = text.format(self.timeout, self.what, self.reference)
        return text + (", and try each device that matches" if self.each else "")

    def waits(self) -> "List[Tuple[str, int]]":
        found = [(self.reference, self.timeout)]
        return found + ([("another " + self.reference, OTHER_TIMEOUT)] if self.each else [])

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        device = attempt.other or machine.find(self.reference, self.timeout, self.hint)
        attempt.take_device(device)
        if self.each:
            attempt.take_each_match(self.reference)
        text = "{} {} is {} ({})"
        machine.log.info(text.format(self.what, self.reference, device.path, device.kind))


class DiscoverRoot(Step):
    """Find the root partition, by its type, on the disk that holds the boot filesystem.

    boot: waits for that filesystem. wait: seconds for the partition's device to appear after that.
    """

    break_point = "find"

    def __init__(self, boot: FindDevice, wait: int) -> None:
        self.boot = boot
        self.wait = wait

    def describe(self) -> str:
        text = "{}, then up to {} s for the root partition of its disk"
        return text.format(self.boot.describe(), self.wait)

    def waits(self) -> "List[Tuple[str, int]]":
        return self.boot.waits() + [(root.DISCOVER, self.wait)]

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        reference = self.boot.reference
        boot = machine.find(reference, self.boot.timeout, self.boot.hint)
        disk, table = machine.finder.around(boot)
        if not disk:
            text = "boot filesystem {} is no partition, so no disk is searched: set root="
            raise BootFailure(text.format(boot.path))
        path = sysfs.device_path(disk)
        found = root.discover(table, elf.own(machine.kernel), path)
        if root.read_only(found):
            attempt.take_root_read_only()
        partition = sysfs.partition_path(disk, found.number)
        FindDevice("root partition", partition, self.wait).run(machine, attempt)
        machine.finder.warn_of_others(reference, boot)
        if reference in machine.finder.ambiguous:
            text = "{} names two devices, so which disk holds the root is not known: set root="
            raise BootFailure(text.format(reference))


class WarnOfOthers(Step):
    """Warn if another device goes by the same reference.

    It comes late, so that nothing waits for it, and devices probed side by side are there by then.
    """

    def __init__(self, reference: str) -> None:
        self.reference = reference

    def describe(self) -> str:
        return "warn if another device matches " + self.reference

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        assert attempt.device
        machine.finder.warn_of_others(self.reference, attempt.device)
