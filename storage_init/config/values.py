# SPDX-License-Identifier: MIT
"""Parse the values of settings: each function returns the value or raises ValueError.

The argument of the ValueError is the reason. Without an argument, the setting's description of the
values that it accepts is the reason.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

# Value of fs if the device that bootfs names contains the image itself.
ITSELF = "-"

# Value of rootwait that stands for the value of the setting timeout.
TIMEOUT = "timeout"

# Types of Linux that are not mounted from a block device: those without FS_REQUIRES_DEV in their
# fs_flags, and those that need a helper in user space.
_NO_BLOCK_DEVICE = (
    "9p",
    "afs",
    "autofs",
    "bdev",
    "binder",
    "binfmt_misc",
    "bpf",
    "ceph",
    "cgroup",
    "cgroup2",
    "cifs",
    "coda",
    "configfs",
    "cpuset",
    "debugfs",
    "devpts",
    "devtmpfs",
    "ecryptfs",
    "efivarfs",
    "fuse",
    "fuseblk",
    "fusectl",
    "hostfs",
    "hugetlbfs",
    "jffs2",
    "lustre",
    "mqueue",
    "nfs",
    "nfs4",
    "nfsd",
    "none",
    "ocfs2_dlmfs",
    "orangefs",
    "overlay",
    "overlayfs",
    "proc",
    "pstore",
    "pvfs2",
    "ramfs",
    "resctrl",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "smb3",
    "smbfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "ubifs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
    "xenfs",
    "zfs",
)

# Texts of a boolean, in upper or lower case.
TRUE = ("1", "yes", "y", "true", "t", "on")
FALSE = ("0", "no", "n", "false", "f", "off")

_TAGS = {"UUID", "LABEL", "PARTUUID", "PARTLABEL"}


def is_reference(text: str) -> bool:
    """Return whether a text is `/dev/...`, `UUID=`, `LABEL=`, `PARTUUID=` or `PARTLABEL=`."""
    tag, _, name = text.partition("=")
    return tag in _TAGS and name != "" or _is_device(text)


def _is_device(text: str) -> bool:
    return text.startswith("/dev/") and ".." not in text.split("/") and text != "/dev/"


def reference(text: str) -> str:
    """Return a reference as Finder matches it. Accepts the spellings of fstab and udev."""
    if "\\" in text or '"' in text or "'" in text or text.startswith("/dev/disk/"):
        from storage_init.config import spelling  # importing it costs time, and few boots need it

        text = spelling.plain(text)
    return _checked(text, is_reference(text))


def device(text: str) -> str:
    text = reference(text)
    return _checked(text, _is_device(text))


def image(text: str) -> str:
    return _checked(text, text == ITSELF or text[0] == "/" and ".." not in text.split("/"))


def file(text: str) -> str:
    return _checked(text, text[0] == "/")


def anything(text: str) -> str:
    return text


def filesystem_type(text: str) -> str:
    """Return a type, a comma-separated list of types, or "" for `auto`, which detects the type."""
    for character in text:
        _checked(text, "a" <= character <= "z" or "0" <= character <= "9" or character in "_.,")
    names = text.split(",")
    for name in names:
        _checked(text, name != "")
        if name in _NO_BLOCK_DEVICE:
            raise ValueError("{} is no type of a filesystem on a block device".format(name))
    return "" if "auto" in names else text


def seconds(text: str) -> int:
    digits = len(text) <= 5 and not text.strip("0123456789")
    return int(_checked(text, digits and 1 <= int(text) <= 86400))


def delay(text: str) -> int:
    return int(_checked(text, len(text) <= 3 and not text.strip("0123456789") and int(text) <= 300))


def rootwait(text: str) -> str:
    return text if text == TIMEOUT else str(seconds(text))


def scsi_address(text: str) -> str:
    numbers = text.split(":")
    bad = [1 for one in numbers if not one or len(one) > 10 or one.strip("0123456789")]
    _checked(text, len(numbers) == 4 and not bad)
    return ":".join([str(int(one)) for one in numbers])


def flag(text: str) -> bool:
    """Return a boolean. Source: parse_boolean() of systemd."""
    text = text.lower()
    _checked(text, text in TRUE or text in FALSE)
    return text in TRUE


def first(text: str) -> str:
    _checked(text, text in ("image", "direct", "0", "1"))
    return {"0": "direct", "1": "image"}.get(text, text)


def fallback(text: str) -> str:
    for name in text.split(","):
        _checked(text, name in ("previous", "direct", "rescue") or text == "none")
    return text


def compression(text: str) -> str:
    for character in text:
        _checked(text, character.isalpha() or character.isdigit() or character in ",=-")
    return text


def one_of(*names: str) -> "Callable[[str], str]":
    return lambda text: _checked(text, text in names)


def _checked(text: str, good: bool) -> str:
    if not good:
        raise ValueError
    return text
