# SPDX-License-Identifier: MIT
"""What sysfs tells of a block device, and the partition table of the disk it is a part of.

Names are those of /sys/class/block, with `!` where the path below /dev has `/`.
"""

from storage_init.devices import uevent
from storage_init.formats import partitions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Tuple

    from storage_init.formats.partitions import Partition
    from storage_init.kernel.calls import Kernel


SYSFS = "/sys/class/block/"


def device_path(name: str) -> str:
    return "/dev/" + name.replace("!", "/")


def partition_path(disk: str, number: int) -> str:
    """Below /dev, as Linux names the partitions of a disk (block/genhd.c: bdevname)."""
    return device_path(disk + ("p" if "0" <= disk[-1:] <= "9" else "") + str(number))


def size(kernel: "Kernel", name: str) -> int:
    """In bytes. OSError if there is no such device; 0 for a drive without a medium."""
    text = kernel.read_text(SYSFS + name + "/size").strip()
    return int(text) * 512 if text.isdigit() else 0


def size_of_number(kernel: "Kernel", rdev: int) -> int:
    """The size in bytes of the block device with this st_rdev; 0 if it cannot be found out."""
    major = rdev >> 8 & 0xFFF | rdev >> 32 & 0xFFFFF000
    minor = rdev & 0xFF | rdev >> 12 & 0xFFFFFF00
    try:
        text = kernel.read_text("/sys/dev/block/{}:{}/size".format(major, minor)).strip()
    except OSError:
        return 0
    return int(text) * 512 if text.isdigit() else 0


class Tables:
    """Matches `PARTUUID=` and `PARTLABEL=`; reads a disk's partition table at most once.

    `forget` a disk when the kernel tells of it again: its table may be another one.
    """

    def __init__(self, kernel: "Kernel") -> None:
        self._kernel = kernel
        self._tables: Dict[str, List[Partition]] = {}

    def forget(self, name: str) -> None:
        self._tables.pop(name, None)

    def matches(self, name: str, reference: str) -> bool:
        """Whether the reference names this device. False for what is not a partition.

        What the kernel itself says comes first (PARTNAME, and PARTUUID if it is a new one);
        else the table decides. OSError if that cannot be read.
        """
        kind, _, wanted = reference.partition("=")
        if kind not in ("PARTUUID", "PARTLABEL") or not wanted:
            return False
        properties = uevent.parse_file(self._kernel.read_text(SYSFS + name + "/uevent"))
        if properties.get("DEVTYPE") != "partition":
            return False
        if kind == "PARTUUID" and properties.get("PARTUUID"):
            return properties["PARTUUID"].lower() == wanted.lower()
        if kind == "PARTLABEL" and "PARTN" in properties and _plain(wanted):
            return properties.get("PARTNAME", "") == wanted
        for partition in self._table(self._parent(name)):
            if partition.number == self._number(name, properties):
                if kind == "PARTUUID":
                    return bool(partition.uuid == wanted.lower())
                return bool(partition.label == wanted)
        return False

    def around(self, name: str) -> "Tuple[str, List[Partition]]":
        """The disk that this device is a partition of, and the partitions of its table.

        ("", []) for what is no partition. OSError if the table cannot be read.
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
        # .../block/sda/sda1: a partition's directory is inside that of its disk.
        parts = self._kernel.readlink(SYSFS + name).split("/")
        return parts[-2] if len(parts) > 1 else ""

    def _table(self, disk: str) -> "List[Partition]":
        if disk not in self._tables:
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
    """Whether PARTNAME shows this label as it is.

    Linux puts `!` for what is not printable, and cuts each UTF-16 unit to its lower byte.
    """
    return not [c for c in label if not " " <= c <= "~" or c == "!"]
