# SPDX-License-Identifier: MIT
"""Determine the root filesystem of a direct boot from the kernel command line."""

from collections import namedtuple

from storage_init.config.values import filesystem_type, is_reference
from storage_init.kernel.failure import BootFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Sequence

    from storage_init.config.cmdline import Word
    from storage_init.formats.partitions import Partition

# reference: of the device, or DISCOVER. fstype, options, init (the path of the program to start):
# "" if not given. writable: mount it read-write.
Root = namedtuple("Root", ("reference", "fstype", "options", "writable", "init"))

# Reference of the root partition of the disk that contains the boot filesystem.
DISCOVER = "gpt-auto"

# Types of root partitions and bits of their attributes. Source: Discoverable Partitions
# Specification of the UAPI Group.
_TYPES = {
    "x86-64": "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
    "x86": "44479540-f297-41b2-9af7-d131d5f0458a",
    "arm64": "b921b045-1df0-41c3-af44-4c6f280d3fae",
    "arm": "69dad710-2ce4-4e3c-b16c-21a1d49abed3",
    "riscv64": "72ec70a6-cf74-40e6-bd49-4bda08e8f224",
    "riscv32": "60d5a7fe-8e7d-435c-b714-3dd8162144e1",
    "loongarch64": "77055800-792c-4f94-b39a-98c91b762bb6",
}
_READ_ONLY = 1 << 60
_NO_AUTO = 1 << 63

# Words that request a service of stage 2, by their start and as a whole.
_SERVICE_PREFIXES = ("rd.luks", "rd.lvm", "rd.md", "rd.dm", "rd.zfs")
_SERVICES = ("resume", "ostree", "roothash", "usrhash", "mount.usr", "systemd.volatile")
# Devices that stage 2 must assemble first.
_ASSEMBLED = ("/dev/mapper/", "/dev/dm-", "/dev/md", "/dev/nfs", "/dev/ram")


def parse(words: "Sequence[Word]") -> Root:
    """Parse `root=`, `rootfstype=`, `rootflags=`, `ro`, `rw` and `init=`; the last word wins.

    Without `root=`, with an empty one and with `root=gpt-auto`, the reference is DISCOVER unless
    `systemd.gpt_auto=0` disables it. Raises BootFailure if the root filesystem requires stage
    2: stage 1 mounts filesystems on disks and partitions only, and assembles no devices.
    """
    values = {"root": "", "rootfstype": "", "rootflags": "", "init": ""}
    writable = False
    discover = True
    resume = ("noresume", None) not in words
    for key, value in words:
        if key in values and value is not None:
            values[key] = value
        elif key in ("ro", "rw") and value is None:
            writable = key == "rw"
        elif key in ("systemd.gpt_auto", "rd.systemd.gpt_auto"):
            discover = value not in ("0", "no", "false", "off")
        elif key == "resume" and not resume:
            pass
        elif value not in ("0", "no") and (key in _SERVICES or key.startswith(_SERVICE_PREFIXES)):
            raise BootFailure("{} on the kernel command line requires stage 2".format(key))
    reference = values["root"]
    if reference in ("", "gpt-auto", "gpt-auto-force"):
        if not discover:
            text = "no root= on the kernel command line, and gpt_auto=0 disables its discovery"
            raise BootFailure(text)
        reference = DISCOVER
    elif not is_reference(reference) or reference.startswith(_ASSEMBLED):
        raise BootFailure("root={} requires stage 2".format(reference))
    fstype = values["rootfstype"]
    try:
        fstype = filesystem_type(fstype) if fstype else ""
    except ValueError as error:
        text = error.args[0] if error.args else "malformed filesystem type"
        raise BootFailure("rootfstype={} requires stage 2: {}".format(fstype, text))
    init = values["init"]
    if init and not init.startswith("/"):
        init = ""
    return Root(reference, fstype, values["rootflags"], writable, init)


def is_writable(words: "Sequence[Word]") -> bool:
    """Return whether stage 2 mounts the root filesystem read-write.

    The last of the words `ro` and `rw` decides. If there is neither, `rootflags=` may say `rw`.
    Source: add_sysroot_mount() in systemd's fstab-generator.
    """
    choices: List[str] = []
    flags: List[str] = []
    for key, value in words:
        if key == "rootflags" and value is not None:
            flags = [flag for flag in value.split(",") if flag in ("ro", "rw")]
        elif key in ("ro", "rw") and value is None:
            choices.append(key)
    return (choices or flags or ["ro"])[-1] == "rw"


def writable_reference(words: "Sequence[Word]") -> str:
    """Return the reference of the last `root=` if stage 2 mounts it read-write, else ""."""
    found = [value for key, value in words if key == "root" and value is not None]
    return found[-1] if found and is_reference(found[-1]) and is_writable(words) else ""


def discover(partitions: "List[Partition]", architecture: str, disk: str) -> "Partition":
    """Return the first root partition of this architecture that is not marked no-auto.

    disk: the path of the disk, for the message. Raises BootFailure if there is no such
    partition.
    """
    if architecture not in _TYPES:
        raise BootFailure("the type of root partitions of this architecture is unknown: set root=")
    found = [partition for partition in partitions if partition.type == _TYPES[architecture]]
    for partition in found:
        if not partition.attributes & _NO_AUTO:
            return partition
    text = "no root-{} partition on {}"
    if found:
        text = "the root-{} partition of {} is marked no-auto"
    raise BootFailure(text.format(architecture, disk) + ": set root=")


def read_only(partition: "Partition") -> bool:
    """Return whether a partition is marked read-only."""
    return bool(partition.attributes & _READ_ONLY)
