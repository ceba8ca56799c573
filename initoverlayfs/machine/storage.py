# SPDX-License-Identifier: MIT
"""Read the storage stack under a mounted filesystem: its layers, from lsblk, and their drivers.

Reads the running kernel's sysfs, so it describes this machine only.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from initoverlayfs.target import Target

SYSFS = Path("/sys")

# The layers that storage-init can reach, by lsblk's TYPE.
_REACHABLE = ("part", "disk")

# lsblk's TYPE -> the layer's common name. The TYPE of an md array is its level, such as raid1.
_LAYERS = {
    "crypt": "dm-crypt (LUKS)",
    "lvm": "LVM",
    "mpath": "multipath",
    "dm": "device-mapper",
    "dmraid": "firmware RAID (dmraid)",
    "md": "md RAID",
    "linear": "an md linear array",
}

# Patterns for directories in sysfs, relative to it, with a slash at both ends.
#
# A device without hardware of its own: its data are in a file, in memory or on a network.
_VIRTUAL = re.compile(r"^/devices/virtual/")
# NVMe with several paths: the block device is virtual; links beside it lead to its controllers.
_NVME_SUBSYSTEM = re.compile(r"^/devices/virtual/nvme-subsystem/[^/]+/")
# Disks behind a network: a session of open-iscsi, an FCoE interface.
_NETWORK = re.compile(r"/(session\d+|net)/")


@dataclass(frozen=True)
class Layer:
    """A block device of the stack.

    name: its device-mapper name, else the kernel's. kind: lsblk's TYPE. directory: in sysfs.
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
    """Return the block devices under a device, itself first, the disks last.

    device: a path in /dev. Raises Failure if lsblk fails.
    """
    options = ["--json", "--inverse", "--output", "NAME,TYPE,MAJ:MIN"]
    output = target.run(["lsblk", *options, device])
    return list(_flatten(json.loads(output)["blockdevices"]))


def _flatten(entries: list[dict[str, Any]]) -> Iterator[Layer]:
    for entry in entries:
        directory = (SYSFS / "dev/block" / entry["maj:min"].strip()).resolve()
        yield Layer(entry["name"], entry["type"], directory)
        yield from _flatten(entry.get("children", []))


def obstacle(stack: list[Layer]) -> Optional[str]:
    """Return, in words, the layer that keeps storage-init from the filesystem, or None."""
    for layer in stack:
        if layer.kind not in _REACHABLE:
            return str(layer)
    members = btrfs_members(stack[0])
    if len(members) > 1:
        return f"btrfs on several devices ({', '.join(members)})"
    if [layer.kind for layer in stack].count("disk") > 1:  # lsblk's TYPE of bcache is disk
        return f"a device made of others ({stack[0].name})"
    for path in map(_path_in_sysfs, _controllers(stack[-1].directory)):
        if _NETWORK.search(path):
            return f"a disk behind a network ({stack[-1].name})"
        if _VIRTUAL.search(path):
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
    """Return the kernel names of all devices of the mounted btrfs on this device, if any."""
    for devices in sorted((SYSFS / "fs/btrfs").glob("*/devices")):
        names = sorted(path.name for path in devices.iterdir())
        if layer.directory.name in names:
            return names
    return []


def _path_in_sysfs(directory: Path) -> str:
    return f"/{directory.relative_to(SYSFS)}/"


def _controllers(directory: Path) -> list[Path]:
    """Return a block device's own directory in sysfs, or those of its NVMe controllers."""
    subsystem = _NVME_SUBSYSTEM.match(_path_in_sysfs(directory))
    if subsystem is None:
        return [directory]
    links = (SYSFS / subsystem[0].strip("/")).glob("nvme[0-9]*")
    return [link.resolve() for link in links if link.is_symlink()] or [directory]


def drivers(stack: list[Layer]) -> list[str]:
    """Return the modules of all drivers between the disks of this stack and their bus, sorted.

    Includes drivers that are built into the running kernel, and the drivers of suppliers: the
    clocks, regulators and PHYs to which `supplier:` links in sysfs lead.
    """
    found: set[str] = set()
    seen: set[Path] = set()
    todo = [path for layer in stack for path in _controllers(layer.directory)]
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
    """Return whether the running kernel has loaded this module from a file."""
    return (SYSFS / "module" / module / "initstate").exists()
