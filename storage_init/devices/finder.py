# SPDX-License-Identifier: MIT
"""Finding the boot filesystem: uevents and coldplug, modules for what appears, superblocks."""

from collections import namedtuple

from storage_init.devices import sysfs, uevent
from storage_init.formats import superblock
from storage_init.kernel.abi import ENOBUFS, ETIMEDOUT, S_IFBLK, S_IFMT
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    from storage_init.devices.scsi import Scan
    from storage_init.devices.workers import Workers
    from storage_init.formats.partitions import Partition
    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.log import Log


# path of the device node, the superblock.Filesystem on it (None: none we know), and what is
# there in a word, as of superblock.probe
Device = namedtuple("Device", ("path", "filesystem", "kind"))

# Not searched for UUIDs and labels: they never hold a boot filesystem, or take seconds to open
# (floppies, empty optical drives). One that is asked for by its path is looked at all the same.
_PASS_OVER = ("loop", "ram", "zram", "fd", "sr", "mtdblock", "nbd")


def _passed_over(name: str) -> bool:
    return name.rstrip("0123456789") in _PASS_OVER


class Finder:
    """Looks for one filesystem by its reference: a tag with its value, or `/dev/...`.

    The tags are `UUID=`, `LABEL=`, `PARTUUID=` and `PARTLABEL=`. As with libblkid, UUIDs compare
    without regard to case, and labels exactly.

    Its events are open when it is made, before anything is coldplugged, so that no device can
    appear unnoticed in between. `close` it before the switch of root.
    """

    def __init__(
        self, kernel: "Kernel", log: "Log", workers: "Workers", events: uevent.Events
    ) -> None:
        self._kernel = kernel
        self._log = log
        self._workers = workers
        self._events = events
        self.scan: Optional[Scan] = None  # the SCSI address to scan
        self._tables = sysfs.Tables(kernel)
        self._hint = ""
        self._seen: List[str] = []  # what was found, for the message when nothing matches
        self.ambiguous: List[str] = []  # references that name more than one device

    def close(self) -> None:
        self._events.close()

    def find(self, reference: str, timeout: int, hint: str = "") -> Device:
        """The device that the reference names, as soon as it is there.

        hint: a `/dev/...` to look at before all others. If that is the one, no other is looked
        at; if it is not there, or another one, nothing is lost.

        Has modules loaded for the machine's devices until then; none is begun later. Waits at
        most `timeout` seconds from now, in which modules load as well; after that
        OSError(ETIMEDOUT) that says what was there instead. Only what the kernel does in one
        call is waited for beyond that: reading a device, or loading a module in this process.
        """
        self._hint = hint
        found = self._wait(reference, timeout)
        if found is None:
            raise OSError(ETIMEDOUT, self._not_there(reference, timeout))
        return found

    def settle(self, seconds: int) -> None:
        """Have modules loaded and devices appear for so long, whatever they are."""
        self._wait("", seconds)

    def _wait(self, reference: str, seconds: int) -> "Optional[Device]":
        deadline = self._kernel.clock_ms() + seconds * 1000
        found = self._coldplug(reference)
        while found is None:
            now = self._kernel.clock_ms()
            if now >= deadline:
                return None
            if not self._workers.turn():
                until = min(self._workers.until() or deadline, deadline)
                self._kernel.poll([self._events.fd, self._workers.fd], max(until - now, 0))
            found = self._receive(reference)
        return found

    def is_named(self, path: str, reference: str) -> bool:
        """Return whether the reference names the device at this path, which must be readable."""
        return self._look_at(path[len("/dev/") :], reference) is not None

    def around(self, device: Device) -> "Tuple[str, List[Partition]]":
        """See sysfs.Tables.around."""
        return self._tables.around(device.path[len("/dev/") :].replace("/", "!"))

    def warn_of_others(self, reference: str, found: Device) -> None:
        """Warn of a device that goes by the same name and has appeared since. Does not wait."""
        for _ in range(256):
            try:
                event = self._events.receive()
            except OSError:
                return
            if event is None:
                return
            if event.get("SUBSYSTEM") == "block" and event.get("ACTION") == "add":
                other = self._look_at(event.get("DEVNAME", ""), reference)
                if other and other.path != found.path:
                    self._warn_of_two(reference, found, other)
                    return

    def _warn_of_two(self, reference: str, taken: Device, other: Device) -> None:
        # Copies of disks happen; which of them is meant, nobody can know.
        self.ambiguous.append(reference)
        self._log.warning(
            "{} names both {} and {}: taking {}".format(
                reference, taken.path, other.path, taken.path
            )
        )

    def _not_there(self, reference: str, timeout: int) -> str:
        seen = ", ".join(self._seen) or "no block device"
        text = "wait for {}: not there after {} s; seen: {}".format(reference, timeout, seen)
        return text + (self.scan.missing() if self.scan else "")

    def _receive(self, reference: str) -> "Optional[Device]":
        """Handle the messages that are there; the device, if one of them brings it."""
        for _ in range(256):  # a storm of them must not keep the deadline from being looked at
            try:
                event = self._events.receive()
            except OSError as error:
                if error.errno != ENOBUFS:
                    raise
                self._log.warning("uevents were lost: looking at all devices again")
                return self._coldplug(reference)
            if event is None:
                return None
            if event.get("ACTION") not in ("add", "change"):
                continue
            if "MODALIAS" in event:
                self._workers.want(event["MODALIAS"])
            if self.scan and event.get("SUBSYSTEM") == "scsi_host":
                self.scan.look()
            if event.get("SUBSYSTEM") == "block" and "DEVNAME" in event:
                found = self._look_at(event["DEVNAME"], reference)
                if found:
                    return found
        return None

    def _coldplug(self, reference: str) -> "Optional[Device]":
        """Look at the block devices that are there; then note what the buses ask for."""
        found = self._look_at_all(reference)
        if found:
            return found
        if self.scan:
            self.scan.look()
        # On these buses, drivers for which the image carries, can there be a way to a disk.
        for bus in sorted(self._workers.buses):
            directory = "/sys/bus/{}/devices".format(bus)
            for name in self._list(directory):
                try:
                    text = self._kernel.read_text(directory + "/" + name + "/modalias")
                except OSError:
                    continue  # not every device has one
                self._workers.want(text.strip())
        return None

    def _look_at_all(self, reference: str) -> "Optional[Device]":
        names = self._list("/sys/class/block")
        hint = self._hint[len("/dev/") :].replace("/", "!")
        if hint in names:
            names.remove(hint)
            names.insert(0, hint)
        first = None
        for name in names:
            found = self._look_at(name.replace("!", "/"), reference)
            if found and first:
                self._warn_of_two(reference, first, found)
                break
            first = first or found
            if first and (name == hint or reference.startswith("/dev/")):
                break
        return first

    def _list(self, directory: str) -> "List[str]":
        try:
            return self._kernel.listdir(directory)
        except OSError:
            return []  # no such bus on this kernel

    def _look_at(self, name: str, reference: str) -> "Optional[Device]":
        """The block device of this name, if it is the one. `name` is below /dev, as in DEVNAME."""
        path = "/dev/" + name
        block = name.replace("/", "!")
        self._tables.forget(block)
        if reference.startswith("/dev/"):
            if reference != path:
                return None
        elif ".." in name.split("/") or path != self._hint and _passed_over(name):
            return None
        try:
            size = sysfs.size(self._kernel, block)
            if size == 0:
                return None
            filesystem, kind = probe(self._kernel, path, size)
            named = reference == path or self._tables.matches(block, reference)
        except OSError as error:
            self._log.warning(reason(error))
            return None
        text = "{} ({})".format(path, kind)
        self._log.debug("seen " + text)
        if text not in self._seen and len(self._seen) < 32:
            self._seen.append(text)
        if named or filesystem and matches(filesystem, reference):
            return Device(path, filesystem, kind)
        return None


def matches(filesystem: superblock.Filesystem, reference: str) -> bool:
    """Whether `UUID=` or `LABEL=` names this filesystem. UUIDs compare without regard to case.

    An external journal has names too, and may share its label with the filesystem it is for.
    """
    kind, _, name = reference.partition("=")
    uuid: str = filesystem.uuid
    label: str = filesystem.label
    if filesystem.type == "jbd":
        return False
    if kind == "UUID":
        return uuid != "" and uuid.lower() == name.lower()
    return kind == "LABEL" and label != "" and label == name


def identify(kernel: "Kernel", path: str, size: int = 0) -> "Optional[superblock.Filesystem]":
    """The filesystem on a device or in a file. Raises OSError if it cannot be read.

    size: in bytes; 0: found out here.
    """
    return probe(kernel, path, size)[0]


def probe(
    kernel: "Kernel", path: str, size: int = 0
) -> "Tuple[Optional[superblock.Filesystem], str]":
    """The same, and what is there in a word; see superblock.probe."""
    fd = kernel.open(path)
    try:
        if size == 0:
            stat = kernel.stat("", at=fd)
            size = stat.size
            if stat.mode & S_IFMT == S_IFBLK:
                size = sysfs.size_of_number(kernel, stat.rdev)
        return superblock.probe(lambda at, length: kernel.pread(fd, at, length, path), size)
    finally:
        kernel.close(fd)
