# SPDX-License-Identifier: MIT
"""Read sizes, partition names and partition tables of block devices.

Names of devices are those of /sys/class/block, which have `!` for each `/` of the path below /dev.
"""

from storage_init.devices import uevent
from storage_init.formats import partitions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Tuple

    from storage_init.formats.partitions import Partition
    from storage_init.kernel.calls import Kernel


SYSFS = "/sys/class/block/"

# Partition tables that are kept in memory, of up to 128 partitions each. Names are sorted, so that
# the partitions of a disk come soon after it.
_KEPT = 16


def device_path(name: str) -> str:
    return "/dev/" + name.replace("!", "/")


def partition_path(disk: str, number: int) -> str:
    """Return the path of a partition. Source: add_partition() in block/partitions/core.c."""
    return device_path(disk + ("p" if "0" <= disk[-1:] <= "9" else "") + str(number))


def size(kernel: "Kernel", name: str) -> int:
    """Return the size in bytes, 0 for a drive without a medium. Raises OSError for no device."""
    text = kernel.read_text(SYSFS + name + "/size").strip()
    return int(text) * 512 if text.isdigit() else 0


def is_partition(kernel: "Kernel", name: str) -> bool:
    return kernel.exists(SYSFS + name + "/partition")


def size_of_number(kernel: "Kernel", rdev: int) -> int:
    """Return the size in bytes of the block device with this st_rdev; 0 if it is unknown."""
    major = rdev >> 8 & 0xFFF | rdev >> 32 & 0xFFFFF000
    minor = rdev & 0xFF | rdev >> 12 & 0xFFFFFF00
    try:
        text = kernel.read_text("/sys/dev/block/{}:{}/size".format(major, minor)).strip()
    except OSError:
        return 0
    return int(text) * 512 if text.isdigit() else 0


class Tables:
    """Match `PARTUUID=` and `PARTLABEL=`, and keep the partition tables that were read last.

    Call `forget` after a uevent of a disk, because its table may have changed.
    """

    def __init__(self, kernel: "Kernel") -> None:
        self._kernel = kernel
        self._tables: Dict[str, List[Partition]] = {}

    def forget(self, name: str) -> None:
        self._tables.pop(name, None)

    def matches(self, name: str, reference: str) -> bool:
        """Return whether the reference matches this partition; False for a whole disk.

        PARTNAME and PARTUUID of the uevent decide if the kernel provides them, else the partition
        table does. Raises OSError if the table cannot be read.
        """
        tag, _, wanted = reference.partition("=")
        if tag not in ("PARTUUID", "PARTLABEL") or not wanted:
            return False
        properties = uevent.parse_file(self._kernel.read_text(SYSFS + name + "/uevent"))
        if properties.get("DEVTYPE") != "partition":
            return False
        if tag == "PARTUUID" and properties.get("PARTUUID"):
            return properties["PARTUUID"].lower() == wanted.lower()
        if tag == "PARTLABEL" and "PARTN" in properties and _plain(wanted):
            return properties.get("PARTNAME", "") == wanted
        for partition in self._table(self._parent(name)):
            if partition.number == self._number(name, properties):
                if tag == "PARTUUID":
                    return bool(partition.uuid == wanted.lower())
                return bool(partition.label == wanted)
        return False

    def around(self, name: str) -> "Tuple[str, List[Partition]]":
        """Return the disk of a partition, and the partitions in its table.

        Returns ("", []) for a whole disk. Raises OSError if the table cannot be read.
        """
        properties = uevent.parse_file(self._kernel.read_text(SYSFS + name + "/uevent"))
        if properties.get("DEVTYPE") != "partition":
            return "", []
        disk = self._parent(name)
        return disk, self._table(disk)

    def _number(self, name: str, properties: "Dict[str, str]") -> int:
        text = properties.get("PARTN", "")
        if not text:
            text = self._kernel.read_text(SYSFS + name + "/partition").strip()
        return int(text) if text.isdigit() else 0

    def _parent(self, name: str) -> str:
        # The directory of a partition is in that of its disk: .../block/sda/sda1.
        parts = self._kernel.readlink(SYSFS + name).split("/")
        return parts[-2] if len(parts) > 1 else ""

    def _table(self, disk: str) -> "List[Partition]":
        if disk not in self._tables:
            if len(self._tables) >= _KEPT:
                self._tables.clear()
            text = self._kernel.read_text(SYSFS + disk + "/queue/logical_block_size").strip()
            path = device_path(disk)
            fd = self._kernel.open(path)
            try:
                self._tables[disk] = partitions.parse(
                    lambda at, length: self._kernel.pread(fd, at, length, path),
                    size(self._kernel, disk),
                    int(text) if text.isdigit() else 0,
                )
            finally:
                self._kernel.close(fd)
        return self._tables[disk]


def _plain(label: str) -> bool:
    """Return whether PARTNAME represents this label exactly.

    Linux truncates each UTF-16 unit to its lower byte, and replaces unprintable characters by `!`.
    """
    return not [c for c in label if not " " <= c <= "~" or c == "!"]
