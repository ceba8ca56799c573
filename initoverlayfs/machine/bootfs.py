# SPDX-License-Identifier: MIT
"""Which filesystem holds /boot, and how storage-init will find it."""

import json
import os
import re
from dataclasses import dataclass, replace
from typing import Optional

from initoverlayfs.errors import Failure
from initoverlayfs.target import Target

# The types that storage-init identifies and the mini-initramfs has drivers for.
KNOWN = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat")


@dataclass(frozen=True)
class BootFilesystem:
    """reference and type as in initoverlayfs.conf; flags: its mount options (subvolumes).

    point: where it is mounted, /boot or /; base: the directory in it that is mounted there.
    device: the path of the device it is mounted from; "" if no mount of it is visible, as in a
    chroot that is not a mount point. with_root: whether the root filesystem is mounted from it too.
    """

    reference: str
    fstype: str
    flags: str
    point: str
    base: str = ""
    device: str = ""
    with_root: bool = False

    @property
    def directory(self) -> str:
        """The path of /boot inside the filesystem; "" for its root."""
        return self.base + ("" if self.point == "/boot" else "/boot")

    def mounted_path(self, path: str) -> str:
        """Where a path inside the filesystem is found while it is mounted. Raises Failure."""
        if not path.startswith(self.base + "/"):
            raise Failure(f"image {path} is not below {self.base}, which {self.point} shows")
        return self.point.rstrip("/") + path[len(self.base) :]


@dataclass(frozen=True)
class _Mount:
    source: str
    point: str
    fstype: str
    options: str
    root: str = "/"
    number: str = ""


def unescape(text: str) -> str:
    """Return a field of fstab without its octal escapes, such as `\\040` for a blank (fstab(5))."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def fstab(text: str) -> list[_Mount]:
    """The entries of an fstab."""
    found = []
    for line in text.splitlines():
        words = [unescape(word) for word in line.split()]
        if len(words) >= 3 and not words[0].startswith("#"):
            found.append(_Mount(words[0], words[1], words[2], ([*words, ""])[3]))
    return found


def mounted(target: Target) -> list[_Mount]:
    """Return what is mounted on the running system, in the order in which it was mounted."""
    columns = ("source", "target", "fstype", "options", "fsroot", "maj:min")
    options = ["--json", "--list", "--nofsroot", "--output", ",".join(columns).upper()]
    entries = json.loads(target.run(["findmnt", *options]))["filesystems"]
    return [_Mount(*(entry[column] or "" for column in columns)) for entry in entries]


def find(target: Target) -> BootFilesystem:
    """The filesystem of /boot, from fstab, and for the running system what is mounted.

    Raises Failure where that does not tell, or tells of one that storage-init cannot mount.
    """
    entries = fstab(_fstab(target))
    present = mounted(target) if target.is_running_system else []
    # An automount is not the filesystem itself, and an overlay is no filesystem to boot from.
    present = [m for m in present if m.fstype not in ("autofs", "overlay")]
    roots = [m.number for m in present if m.point == "/"]
    for point in ("/boot", "/"):
        live = [m for m in present if m.point == point]
        planned = [m for m in entries if m.point == point]
        if live or planned:
            # The last filesystem mounted on a directory is the one that is visible there.
            found = _describe(target, point, planned[-1] if planned else None, live[-1:])
            device = live[-1].source if live else ""
            return replace(found, device=device, with_root=bool(live) and live[-1].number in roots)
    raise Failure(
        f"no filesystem for /boot or / in {target.path('/etc/fstab')}:"
        f" write `bootfs UUID=...` into {target.path('/etc/initoverlayfs.conf')}"
    )


def _fstab(target: Target) -> str:
    try:
        return target.path("/etc/fstab").read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _describe(
    target: Target, point: str, planned: Optional[_Mount], live: list[_Mount]
) -> BootFilesystem:
    source = planned.source if planned else live[0].source
    fstype = live[0].fstype if live else (planned.fstype if planned else "")
    options = f"{planned.options if planned else ''},{live[0].options if live else ''}"
    root = live[0].root if live else "/"
    device = live[0].source if live else ""
    reference = _reference(target, source, device, point)
    if fstype in ("", "auto"):
        fstype = _blkid(target, "TYPE", device or source)
    if fstype and fstype not in KNOWN:
        raise Failure(
            f"{point} is {fstype}, which storage-init cannot boot from: move /boot to a"
            f" filesystem of type {', '.join(KNOWN)}"
        )
    flags = ""
    base = ""
    if fstype == "btrfs":
        match = re.search(r"(?:^|,)(subvol=[^,]+|subvolid=[0-9]+)", options)
        flags = match[1] if match else (f"subvol={root}" if root != "/" else "")
    elif root != "/":
        base = root  # a bind mount
    return BootFilesystem(reference, fstype, flags, point, base)


def _reference(target: Target, source: str, device: str, point: str) -> str:
    """How storage-init will know the filesystem: UUID=, LABEL=, at worst the device's path."""
    kind, equals, name = source.partition("=")
    if equals and kind in ("UUID", "LABEL") and name.strip('"'):
        return f"{kind}={name.strip(chr(34))}"
    for path in (device, source):
        uuid = _blkid(target, "UUID", path)
        if uuid:
            return "UUID=" + uuid
    if source.startswith("/dev/") and not source.startswith(("/dev/mapper/", "/dev/dm-")):
        return source
    raise Failure(
        f"no UUID is known of {point} ({source}): write `bootfs UUID=...` into"
        f" {target.path('/etc/initoverlayfs.conf')}"
    )


def _blkid(target: Target, tag: str, source: str) -> str:
    """What blkid says of a device, named by its path or by a tag; "" where it says nothing."""
    if not source or not target.is_running_system:
        return ""
    try:
        device = source
        if "=" in source and not source.startswith("/"):
            device = target.run(["blkid", "--list-one", "-o", "device", "-t", source]).strip()
        if not os.path.exists(device):
            return ""
        return target.run(["blkid", "-o", "value", "-s", tag, device]).strip()
    except Failure:
        return ""  # blkid ends with status 2 where it finds nothing


def same(target: Target, reference: str, boot: BootFilesystem) -> bool:
    """Whether a reference means that filesystem, as far as can be told."""
    if reference.lower() == boot.reference.lower():
        return True
    uuid = _blkid(target, "UUID", reference)
    return uuid != "" and uuid == _blkid(target, "UUID", boot.reference)
