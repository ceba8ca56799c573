# SPDX-License-Identifier: MIT
"""The root filesystem as the kernel command line names it, for a boot without stage 2."""

from collections import namedtuple

from storage_init.config.values import is_reference
from storage_init.kernel.abi import EINVAL, ENODEV

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Sequence

    from storage_init.config.cmdline import Word
    from storage_init.formats.partitions import Partition

# reference: of its device, or DISCOVER. fstype, options: "" if not given. writable: mounted
# read-write. init: the path of its first process, "" if not given.
Root = namedtuple("Root", ("reference", "fstype", "options", "writable", "init"))

# As the reference: the root partition of the disk that holds the boot filesystem.
DISCOVER = "gpt-auto"

# The types of root partitions and the bits of their attributes, by the Discoverable Partitions
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

# What only an initrd does. Words that begin with the first ones, and whole words.
_SERVICE_PREFIXES = ("rd.luks", "rd.lvm", "rd.md", "rd.dm", "rd.zfs")
_SERVICES = ("resume", "ostree", "roothash", "usrhash", "mount.usr", "systemd.volatile")
# Devices that something has to assemble first.
_ASSEMBLED = ("/dev/mapper/", "/dev/dm-", "/dev/md", "/dev/nfs", "/dev/ram")


def parse(words: "Sequence[Word]") -> Root:
    """What `root=`, `rootfstype=`, `rootflags=`, `ro`, `rw` and `init=` say; the last word wins.

    No `root=`, an empty one and `root=gpt-auto` are DISCOVER, unless `systemd.gpt_auto=0` is said.
    Raises OSError(EINVAL), saying why, where stage 1 alone cannot mount that root: it finds
    plain filesystems on disks and partitions, and assembles nothing.
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
            raise OSError(EINVAL, "{} on the kernel command line asks for stage 2".format(key))
    reference = values["root"]
    if reference in ("", "gpt-auto", "gpt-auto-force"):
        if not discover:
            raise OSError(EINVAL, "there is no root= on the kernel command line, and gpt_auto=0")
        reference = DISCOVER
    elif not is_reference(reference) or reference.startswith(_ASSEMBLED):
        raise OSError(EINVAL, "root={} takes more than stage 1 has".format(reference))
    init = values["init"]
    if init and not init.startswith("/"):
        init = ""
    return Root(reference, values["rootfstype"], values["rootflags"], writable, init)


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
    """Return what the last `root=` names if stage 2 mounts it read-write, else ""."""
    found = [value for key, value in words if key == "root" and value is not None]
    return found[-1] if found and is_reference(found[-1]) and is_writable(words) else ""


def discover(partitions: "List[Partition]", architecture: str, disk: str) -> "Partition":
    """The root partition for this architecture: the first of its type that is not marked no-auto.

    disk: the path of the disk whose GPT this is, for the message. OSError(ENODEV) if there is none.
    """
    if architecture not in _TYPES:
        raise OSError(ENODEV, "no type of root partition is known for this architecture: set root=")
    found = [one for one in partitions if one.type == _TYPES[architecture]]
    for one in found:
        if not one.attributes & _NO_AUTO:
            return one
    text = "no root-{} partition on {}"
    if found:
        text = "the root-{} partition of {} is marked no-auto"
    raise OSError(ENODEV, text.format(architecture, disk) + ": set root=")


def read_only(partition: "Partition") -> bool:
    """Whether a discovered partition is marked to be mounted read-only."""
    return bool(partition.attributes & _READ_ONLY)
