# SPDX-License-Identifier: MIT
"""Determine the root filesystem of a direct boot from the kernel command line."""

from collections import namedtuple

from storage_init.config.values import filesystem_type, flag, reference
from storage_init.kernel.failure import BootFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Sequence

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

# Frequent words that need no search in the table of the words of stage 2.
_HARMLESS = ("BOOT_IMAGE", "console", "initrd", "loglevel", "panic", "quiet", "rootwait", "splash")

# Devices that stage 2 must assemble first, or that udev names.
_ASSEMBLED = (
    "/dev/mapper/",
    "/dev/dm-",
    "/dev/md",
    "/dev/bcache",
    "/dev/drbd",
    "/dev/nbd",
    "/dev/rbd",
    "/dev/loop",
    "/dev/zram",
    "/dev/ram",
    "/dev/nfs",
    "/dev/cifs",
    "/dev/gpt-auto-root",
)
# Directories of /dev with nodes of the kernel. Another one belongs to LVM or holds links of udev.
_DIRECTORIES = ("cciss", "etherd", "ida", "rd", "sx8")


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
        elif key.replace("-", "_") in ("systemd.gpt_auto", "rd.systemd.gpt_auto"):
            discover = _boolean(value, discover)
        elif key == "resume" and not resume:
            pass
        elif key not in _HARMLESS and _needs_stage_2(key, value):
            raise BootFailure("{} on the kernel command line requires stage 2".format(key))
    device = values["root"]
    if device in ("", "gpt-auto", "gpt-auto-force"):
        if not discover:
            text = "no root= on the kernel command line, and gpt_auto=0 disables its discovery"
            raise BootFailure(text)
        device = DISCOVER
    else:
        device = _on_disk(device)
    fstype = values["rootfstype"]
    try:
        fstype = filesystem_type(fstype) if fstype else ""
    except ValueError as error:
        text = error.args[0] if error.args else "malformed filesystem type"
        raise BootFailure("rootfstype={} requires stage 2: {}".format(fstype, text))
    init = values["init"]
    if init and not init.startswith("/"):
        init = ""
    return Root(device, fstype, values["rootflags"], writable, init)


def _needs_stage_2(key: str, value: "Optional[str]") -> bool:
    # Importing the table costs time, and the usual command line has no further word.
    from storage_init.config import stage2_words

    return stage2_words.reader(key, value) != ""


def _boolean(text: "Optional[str]", default: bool) -> bool:
    """Return the value of a word of systemd. Without a value it is true, else the default."""
    try:
        return text is None or flag(text)
    except ValueError:
        return default


def _on_disk(text: str) -> str:
    """Return the reference in a `root=`. Raises BootFailure unless it is a disk or a partition."""
    why = ""
    try:
        found = reference(text)
        inside = found.split("/")
        if not found.startswith("/dev/"):
            return found
        if not found.startswith(_ASSEMBLED) and (len(inside) == 3 or inside[2] in _DIRECTORIES):
            return found
    except ValueError as error:
        why = ": " + str(error.args[0]) if error.args else ""
    raise BootFailure("root={} requires stage 2{}".format(text, why))


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
    if not found or not is_writable(words):
        return ""
    try:
        return reference(found[-1])
    except ValueError:
        return ""


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
