# SPDX-License-Identifier: MIT
"""Determine the filesystem that holds /boot, and the reference by which storage-init finds it."""

import json
import os
import re
from dataclasses import dataclass, replace
from typing import Optional

from initoverlayfs.errors import Failure
from initoverlayfs.target import Target
from storage_init.config.settings import CONFIGURATION

# The types that storage-init identifies and that the mini-initramfs has drivers for.
KNOWN = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat")


@dataclass(frozen=True)
class BootFilesystem:
    """The filesystem that contains /boot.

    reference, fstype, flags: the settings bootfs, bootfstype, bootflags (a btrfs subvolume).
    mount_point: /boot or /. base: the directory of the filesystem that is mounted there, "" for its
    root. device: the path of the mounted device; "" if no mount of it is visible, as in a chroot
    that is not a mount point. with_root: whether the root filesystem is the same one.
    """

    reference: str
    fstype: str
    flags: str
    mount_point: str
    base: str = ""
    device: str = ""
    with_root: bool = False

    @property
    def directory(self) -> str:
        """Return the path of /boot inside the filesystem, "" for its root."""
        return self.base + ("" if self.mount_point == "/boot" else "/boot")

    def mounted_path(self, path: str) -> str:
        """Return the path, below the mount point, of a path inside the filesystem.

        Raises Failure for a path outside the directory that is mounted.
        """
        if not path.startswith(self.base + "/"):
            raise Failure(
                f"image {path} is not below {self.base}, the directory mounted on"
                f" {self.mount_point}: correct fs in {CONFIGURATION}"
            )
        return self.mount_point.rstrip("/") + path[len(self.base) :]


@dataclass(frozen=True)
class _Mount:
    """An entry of fstab, or a mount. root: the directory mounted. number: of the device."""

    source: str
    mount_point: str
    fstype: str
    options: str
    root: str = "/"
    number: str = ""


def unescape(text: str) -> str:
    """Return a field of fstab without its octal escapes, such as `\\040` for a blank (fstab(5))."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def fstab(text: str) -> list[_Mount]:
    """Parse the entries of an fstab (fstab(5)); lines with fewer than three fields are skipped."""
    found = []
    for line in text.splitlines():
        words = [unescape(word) for word in line.split()]
        if len(words) >= 3 and not words[0].startswith("#"):
            found.append(_Mount(words[0], words[1], words[2], ([*words, ""])[3]))
    return found


def mounted(target: Target) -> list[_Mount]:
    """Return the mounts of the running system, oldest first."""
    columns = ("source", "target", "fstype", "options", "fsroot", "maj:min")
    options = ["--json", "--list", "--nofsroot", "--output", ",".join(columns).upper()]
    entries = json.loads(target.run(["findmnt", *options]))["filesystems"]
    return [_Mount(*(entry[column] or "" for column in columns)) for entry in entries]


def find(target: Target) -> BootFilesystem:
    """Return the filesystem of /boot: from fstab, and on the running system from its mounts.

    Raises Failure if neither names one, or if storage-init cannot mount it.
    """
    entries = fstab(_read_fstab(target))
    mounts = mounted(target) if target.is_running_system else []
    # An automount is not the filesystem itself, and nothing can boot from an overlay.
    mounts = [m for m in mounts if m.fstype not in ("autofs", "overlay")]
    roots = [m.number for m in mounts if m.mount_point == "/"]
    for point in ("/boot", "/"):
        # The last filesystem mounted on a directory is the visible one.
        entry = next((m for m in reversed(entries) if m.mount_point == point), None)
        mount = next((m for m in reversed(mounts) if m.mount_point == point), None)
        if entry or mount:
            found = _describe(target, point, entry, mount)
            device = mount.source if mount else ""
            return replace(found, device=device, with_root=bool(mount and mount.number in roots))
    raise Failure(
        f"cannot determine the filesystem of /boot: {target.path('/etc/fstab')} has no entry for"
        " /boot or /: add one"
    )


def _read_fstab(target: Target) -> str:
    try:
        return target.path("/etc/fstab").read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _describe(
    target: Target, point: str, entry: Optional[_Mount], mount: Optional[_Mount]
) -> BootFilesystem:
    """Describe a filesystem by its entry in fstab and its mount, of which one may be missing."""
    sources = [m.source for m in (entry, mount) if m]
    source = sources[0]
    fstype = mount.fstype if mount else (entry.fstype if entry else "")
    options = f"{entry.options if entry else ''},{mount.options if mount else ''}"
    root = mount.root if mount else "/"
    device = mount.source if mount else ""
    reference = _reference(target, source, device, point)
    if fstype in ("", "auto"):
        fstype = _blkid(target, "TYPE", device or source)
    if fstype and fstype not in KNOWN:
        raise Failure(
            f"{point} is {fstype}, which storage-init cannot mount: move /boot to a filesystem of"
            f" type {', '.join(KNOWN[:-1])} or {KNOWN[-1]}"
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
    """Return the reference to a filesystem: UUID= or LABEL=, else its device's path.

    Raises Failure for a path that is not the same at every boot.
    """
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
        f"cannot determine the UUID of the filesystem of {point} ({source}): name it by UUID=... in"
        f" {target.path('/etc/fstab')}"
    )


def _blkid(target: Target, tag: str, source: str) -> str:
    """Return the value of a tag of a device from blkid; "" if unknown, or not the running system.

    source: the device's path, or a tag such as LABEL=boot.
    """
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
        return ""  # blkid's exit status is 2 if it finds nothing


def same(target: Target, reference: str, boot: BootFilesystem) -> bool:
    """Return whether a reference names this filesystem; False if its UUID cannot be determined."""
    if reference.lower() == boot.reference.lower():
        return True
    uuid = _blkid(target, "UUID", reference)
    return uuid != "" and uuid == _blkid(target, "UUID", boot.reference)
