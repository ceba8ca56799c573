# SPDX-License-Identifier: MIT
"""The storage stack under a mounted filesystem: its layers, from lsblk, and its kernel drivers.

The stack is read from the running kernel, so it describes this machine and no other.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from initoverlayfs.target import Target

SYSFS = Path("/sys")

# The layers that storage-init reaches without help, by lsblk's TYPE.
_REACHED = ("part", "disk")

# lsblk's TYPE -> the layer's usual name. lsblk calls an md array by its level, such as raid1.
_LAYERS = {
    "crypt": "dm-crypt (LUKS)",
    "lvm": "LVM",
    "mpath": "multipath",
    "dm": "device-mapper",
    "dmraid": "firmware RAID (dmraid)",
    "md": "md RAID",
    "linear": "an md linear array",
}

# Directories in sysfs, relative to it, with a slash at both ends.
#
# A device without hardware of its own: its data come from a file, from memory or from a network.
_VIRTUAL = re.compile(r"^/devices/virtual/")
# NVMe with several paths: the block device is virtual, and its controllers are beside it.
_NVME_SUBSYSTEM = re.compile(r"^/devices/virtual/nvme-subsystem/[^/]+/")
# Disks reached through a network: a session of open-iscsi, an FCoE interface.
_NETWORK = re.compile(r"/(session\d+|net)/")


@dataclass(frozen=True)
class Layer:
    """A block device of the stack: its name, lsblk's TYPE, its directory in sysfs.

    name: the device-mapper name if it has one, else the kernel's.
    """

    name: str
    kind: str
    directory: Path

    def __str__(self) -> str:
        kind = _LAYERS.get(self.kind, self.kind)
        if self.kind.startswith("raid"):
            kind = f"md RAID {self.kind[len('raid') :]}"
        return f"{kind} ({self.name})"


def layers(target: Target, device: str) -> list[Layer]:
    """Return the block devices that a device consists of, itself first, the disks last.

    device: a path in /dev. Raises Failure if lsblk fails.
    """
    options = ["--json", "--inverse", "--output", "NAME,TYPE,MAJ:MIN"]
    output = target.run(["lsblk", *options, device])
    return list(_flat(json.loads(output)["blockdevices"]))


def _flat(entries: list[dict[str, Any]]) -> Iterator[Layer]:
    for entry in entries:
        directory = (SYSFS / "dev/block" / entry["maj:min"].strip()).resolve()
        yield Layer(entry["name"], entry["type"], directory)
        yield from _flat(entry.get("children", []))


def obstacle(stack: list[Layer]) -> Optional[str]:
    """Return which layer keeps storage-init from reaching the filesystem on this stack, or None."""
    for layer in stack:
        if layer.kind not in _REACHED:
            return str(layer)
    members = btrfs_members(stack[0])
    if len(members) > 1:
        return f"btrfs on several devices ({', '.join(members)})"
    if [layer.kind for layer in stack].count("disk") > 1:  # bcache, for one, is a disk to lsblk
        return f"a device made of others ({stack[0].name})"
    for way in map(_in_sysfs, _ways(stack[-1].directory)):
        if _NETWORK.search(way):
            return f"a disk behind a network ({stack[-1].name})"
        if _VIRTUAL.search(way):
            return f"a device without hardware ({stack[-1].name})"
    return None


def without_backing(stack: list[Layer]) -> list[Layer]:
    """Return the stack down to a loop or nbd device, which is taken for the disk itself.

    Image builders attach the image file of another machine's disk that way and install into it.
    """
    for number, layer in enumerate(stack):
        if layer.kind == "loop" or layer.name.startswith("nbd"):
            disk = Layer(layer.name, "disk", SYSFS / "devices")
            return [*stack[:number], disk]
    return stack


def btrfs_members(layer: Layer) -> list[str]:
    """Return the kernel names of all devices of the mounted btrfs that this device belongs to."""
    for devices in sorted((SYSFS / "fs/btrfs").glob("*/devices")):
        names = sorted(path.name for path in devices.iterdir())
        if layer.directory.name in names:
            return names
    return []


def _in_sysfs(directory: Path) -> str:
    return f"/{directory.relative_to(SYSFS)}/"


def _ways(directory: Path) -> list[Path]:
    """Return the sysfs directories from which a block device's hardware is found upwards."""
    subsystem = _NVME_SUBSYSTEM.match(_in_sysfs(directory))
    if subsystem is None:
        return [directory]
    controllers = (SYSFS / subsystem[0].strip("/")).glob("nvme[0-9]*")
    return [path.resolve() for path in controllers if path.is_symlink()] or [directory]


def drivers(stack: list[Layer]) -> list[str]:
    """Return the modules of all drivers between the disks of this stack and their bus, sorted.

    Includes drivers that are built into the running kernel, and those of the devices that supply
    others on the way (clocks, regulators, PHYs: the `supplier:` links in sysfs).
    """
    found: set[str] = set()
    seen: set[Path] = set()
    todo = [way for layer in stack for way in _ways(layer.directory)]
    while todo:
        directory = todo.pop().resolve()
        if directory in seen or SYSFS / "devices" not in directory.parents:
            continue
        seen.add(directory)
        module = directory / "driver/module"
        if module.exists():
            found.add(module.resolve().name)
        todo.append(directory.parent)
        todo += [link / "supplier" for link in directory.glob("supplier:*")]
    return sorted(found)


def is_loadable(module: str) -> bool:
    """Return whether the running kernel loaded this module from a file."""
    return (SYSFS / "module" / module / "initstate").exists()
