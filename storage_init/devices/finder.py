# SPDX-License-Identifier: MIT
"""Find a filesystem: coldplug, receive uevents, have drivers loaded, and probe block devices.

Probing is in this file and not in one of its own, because importing another module costs each boot.
"""

from collections import namedtuple

from storage_init.devices import sysfs, uevent
from storage_init.formats import superblock
from storage_init.kernel.abi import ENOBUFS, S_IFBLK, S_IFMT
from storage_init.kernel.failure import BootFailure
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    from storage_init.devices.scsi import Scan
    from storage_init.devices.workers import Workers
    from storage_init.formats.partitions import Partition
    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.log import Log


# path: of the device node. filesystem: superblock.Filesystem, or None if it is unknown. kind: a
# word for the content, see superblock.probe.
Device = namedtuple("Device", ("path", "filesystem", "kind"))

# Devices that no search by UUID or label opens: they never contain a boot filesystem, or they take
# seconds to open (floppies, empty optical drives). A search by path opens them.
_IGNORED = ("loop", "ram", "zram", "fd", "sr", "mtdblock", "nbd")


# Devices that the message of a timeout lists.
_MAX_SEEN = 32


def _kind(name: str) -> str:
    return name.rstrip("0123456789")


def _is_ignored(name: str) -> bool:
    return _kind(name) in _IGNORED


class DeviceMissing(BootFailure):
    """No device matched the reference within the timeout."""


class Finder:
    """Find devices by reference: `UUID=`, `LABEL=`, `PARTUUID=`, `PARTLABEL=` or `/dev/...`.

    UUIDs compare case-insensitively and labels exactly, as in libblkid.

    events: open before the first coldplug, so that no device appears unnoticed in between. Call
    `close` before the switch to another root.
    """

    def __init__(
        self, kernel: "Kernel", log: "Log", workers: "Workers", events: uevent.Events
    ) -> None:
        self._kernel = kernel
        self._log = log
        self._workers = workers
        self._events = events
        self._scan: Optional[Scan] = None
        self._tables = sysfs.Tables(kernel)
        self._hint = ""
        self._seen: List[str] = []  # devices and their content, for the message of a timeout
        self.ambiguous: List[str] = []  # references that match more than one device
        self._excluded: List[str] = []

    def close(self) -> None:
        self._events.close()

    def scan_scsi(self, scan: "Scan") -> None:
        """Start this scan once its SCSI host exists. Only the first call has an effect."""
        self._scan = self._scan or scan

    def find(self, reference: str, timeout: int, hint: str = "") -> Device:
        """Return the device that matches the reference, once it exists.

        timeout: in seconds. Until the device exists, modules for the devices of this machine are
        loaded; no module is started later. hint: the `/dev/...` to probe first; if it matches, no
        other device is probed.

        Raises DeviceMissing, which lists the devices that exist. The timeout does not bound a
        single system call, such as a read, or a module that this process loads.
        """
        self._hint = hint
        found = self._wait(reference, timeout * 1000)
        if found is None:
            raise DeviceMissing(self._timed_out(reference, timeout))
        return found

    def find_other(
        self, reference: str, excluded: "List[str]", milliseconds: int
    ) -> "Optional[Device]":
        """Return another device that matches the reference, None if none appears in this time.

        excluded: paths of the devices to ignore. Drivers load meanwhile.
        """
        self._excluded = excluded
        try:
            return self._wait(reference, milliseconds)
        finally:
            self._excluded = []

    def load_drivers(self, seconds: int) -> None:
        """Load modules for the devices of this machine for this long."""
        self._wait("", seconds * 1000)

    def _wait(self, reference: str, milliseconds: int) -> "Optional[Device]":
        """Load modules and handle uevents until a device matches. Return None after this time."""
        deadline = self._kernel.clock_ms() + milliseconds
        found = self._coldplug(reference)
        while found is None:
            now = self._kernel.clock_ms()
            if now >= deadline:
                return None
            if not self._workers.turn():
                wake = min(self._workers.next_limit() or deadline, deadline)
                self._kernel.poll([self._events.fd, self._workers.fd], max(wake - now, 0))
            found = self._receive(reference)
        return found

    def is_named(self, path: str, reference: str) -> bool:
        """Return whether the reference matches the device at this path, which must be readable."""
        return self._probe(path[len("/dev/") :], reference) is not None

    def around(self, device: Device) -> "Tuple[str, List[Partition]]":
        """Return the disk of a partition and the partitions in its table, see sysfs.Tables."""
        return self._tables.around(device.path[len("/dev/") :].replace("/", "!"))

    def warn_of_others(self, reference: str, found: Device) -> None:
        """Log a warning if a queued uevent brings a second match. Does not wait."""
        for _ in range(256):
            try:
                event = self._events.receive()
            except OSError:
                return
            if event is None:
                return
            if event.get("SUBSYSTEM") == "block" and event.get("ACTION") == "add":
                other = self._probe(event.get("DEVNAME", ""), reference)
                if other and other.path != found.path:
                    self._warn_of_two(reference, found, other)
                    return

    def _warn_of_two(self, reference: str, used: Device, other: Device) -> None:
        # A disk and its copy have the same UUIDs and labels.
        self.ambiguous.append(reference)
        self._log.warning(
            "{} matches both {} and {}: using {}".format(
                reference, used.path, other.path, used.path
            )
        )

    def _timed_out(self, reference: str, timeout: int) -> str:
        found = self._seen
        if reference.startswith("/dev/"):  # the search has probed no other device
            found = self._existing(reference)
        seen = ", ".join(found) or "no block device"
        text = "wait for {}: timed out after {} s; seen: {}".format(reference, timeout, seen)
        return text + (self._scan.missing() if self._scan else "")

    def _existing(self, reference: str) -> "List[str]":
        """Return block devices that exist, without those of the ignored kinds, but of its own."""
        own = _kind(reference[len("/dev/") :])
        names = self._list("/sys/class/block")
        found = [name for name in names if _kind(name) == own or not _is_ignored(name)]
        return [sysfs.device_path(name) for name in sorted(found)[:_MAX_SEEN]]

    def _receive(self, reference: str) -> "Optional[Device]":
        """Handle the queued uevents. Return the device if one of them brings it."""
        for _ in range(256):  # with more events than this, the caller checks the deadline first
            try:
                event = self._events.receive()
            except OSError as error:
                if error.errno != ENOBUFS:
                    raise
                self._log.warning("uevents were lost: scanning all devices again")
                return self._coldplug(reference)
            if event is None:
                return None
            if event.get("ACTION") not in ("add", "change"):
                continue
            if "MODALIAS" in event:
                self._workers.want(event["MODALIAS"])
            if self._scan and event.get("SUBSYSTEM") == "scsi_host":
                self._scan.start()
            if event.get("SUBSYSTEM") == "block" and "DEVNAME" in event:
                found = self._probe(event["DEVNAME"], reference)
                if found:
                    return found
        return None

    def _coldplug(self, reference: str) -> "Optional[Device]":
        """Probe the block devices that exist, then request drivers for the devices on each bus."""
        found = self._probe_all(reference)
        if found:
            return found
        if self._scan:
            self._scan.start()
        # Buses for whose devices this initramfs contains drivers.
        for bus in sorted(self._workers.buses):
            directory = "/sys/bus/{}/devices".format(bus)
            for name in self._list(directory):
                try:
                    text = self._kernel.read_text(directory + "/" + name + "/modalias")
                except OSError:
                    continue  # the device has no modalias
                self._workers.want(text.strip())
        return None

    def _probe_all(self, reference: str) -> "Optional[Device]":
        """Probe the block devices, the hint first. Return the first match; a second is logged."""
        names = self._list("/sys/class/block")
        hint = self._hint[len("/dev/") :].replace("/", "!")
        if hint in names:
            names.remove(hint)
            names.insert(0, hint)
        first = None
        for name in names:
            found = self._probe(name.replace("!", "/"), reference)
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
            return []  # this kernel does not have the bus

    def _probe(self, name: str, reference: str) -> "Optional[Device]":
        """Return the block device if the reference matches it. name: its path below /dev."""
        path = "/dev/" + name
        if path in self._excluded:
            return None
        block = name.replace("/", "!")
        self._tables.forget(block)
        if reference.startswith("/dev/"):
            if reference != path:
                return None
        elif ".." in name.split("/") or path != self._hint and _is_ignored(name):
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
        if text not in self._seen and len(self._seen) < _MAX_SEEN:
            self._seen.append(text)
        if named or filesystem and matches(filesystem, reference):
            return Device(path, filesystem, kind)
        return None


def matches(filesystem: superblock.Filesystem, reference: str) -> bool:
    """Return whether a `UUID=` or `LABEL=` reference matches this filesystem.

    An external journal never matches: its label may be that of its filesystem.
    """
    tag, _, name = reference.partition("=")
    uuid: str = filesystem.uuid
    label: str = filesystem.label
    if filesystem.type == "jbd":
        return False
    if tag == "UUID":
        return uuid != "" and uuid.lower() == name.lower()
    return tag == "LABEL" and label != "" and label == name


def identify(kernel: "Kernel", path: str, size: int = 0) -> "Optional[superblock.Filesystem]":
    """Return the filesystem on a device or in a file. Raises OSError if it cannot be read.

    size: in bytes; 0 if the caller does not know it.
    """
    return probe(kernel, path, size)[0]


def probe(
    kernel: "Kernel", path: str, size: int = 0
) -> "Tuple[Optional[superblock.Filesystem], str]":
    """Return the filesystem as identify does, and a word for the content, see superblock.probe."""
    fd = kernel.open(path)
    try:
        if size == 0:
            stat = kernel.stat("", at=fd)
            size = stat.size
            if stat.mode & S_IFMT == S_IFBLK:
                size = sysfs.size_of_number(kernel, stat.rdev)
        return superblock.probe(
            lambda at, length: kernel.pread(fd, at, length, path),
            size,
            lambda: not sysfs.is_partition(kernel, path[len("/dev/") :].replace("/", "!")),
        )
    finally:
        kernel.close(fd)
