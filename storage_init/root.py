# SPDX-License-Identifier: MIT
"""The root filesystem as the kernel command line names it, for a boot without stage 2."""

from collections import namedtuple

from storage_init.abi import EINVAL
from storage_init.knobs import is_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Sequence, Tuple

    Word = Tuple[str, Optional[str]]

# reference: of its device. fstype, options: "" if not given. writable: mounted read-write.
# init: the path of its first process, "" if not given.
Root = namedtuple("Root", ("reference", "fstype", "options", "writable", "init"))

# What only an initrd does. Words that begin with the first ones, and whole words.
_SERVICE_PREFIXES = ("rd.luks", "rd.lvm", "rd.md", "rd.dm", "rd.zfs")
_SERVICES = ("resume", "ostree", "roothash", "usrhash", "mount.usr", "systemd.volatile")
# Devices that something has to assemble first.
_ASSEMBLED = ("/dev/mapper/", "/dev/dm-", "/dev/md", "/dev/nfs", "/dev/ram")


def parse(words: "Sequence[Word]") -> Root:
    """What `root=`, `rootfstype=`, `rootflags=`, `ro`, `rw` and `init=` say; the last word wins.

    Raises OSError(EINVAL), saying why, where stage 1 alone cannot mount that root: it finds
    plain filesystems on disks and partitions, and assembles nothing.
    """
    values = {"root": "", "rootfstype": "", "rootflags": "", "init": ""}
    writable = False
    for key, value in words:
        if key in values and value is not None:
            values[key] = value
        elif key in ("ro", "rw") and value is None:
            writable = key == "rw"
        elif value not in ("0", "no") and (key in _SERVICES or key.startswith(_SERVICE_PREFIXES)):
            raise OSError(EINVAL, "{} on the kernel command line asks for stage 2".format(key))
    reference = values["root"]
    if not reference:
        raise OSError(EINVAL, "there is no root= on the kernel command line")
    if not is_reference(reference) or reference.startswith(_ASSEMBLED):
        raise OSError(EINVAL, "root={} takes more than stage 1 has".format(reference))
    init = values["init"]
    if init and not init.startswith("/"):
        init = ""
    return Root(reference, values["rootfstype"], values["rootflags"], writable, init)
