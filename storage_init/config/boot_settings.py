# SPDX-License-Identifier: MIT
"""List the boot settings. Parser, checks, `--help` and the documents are derived from this table.

Build settings are in initoverlayfs/machine/build_settings.py: storage-init knows only their keys.
"""

from collections import namedtuple

from storage_init.config import values
from storage_init.config.values import TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple

PREFIX = "rd.initoverlayfs."

# Modes: storage-init is PID 1, or a service of a mini-initramfs that contains systemd.
INIT = "init"
SYSTEMD = "systemd"

# Steps before which rd.break opens a prompt.
BREAK = "switch_root"
BREAKS = ("find", "boot", "image", "overlay", BREAK)

# bootfs_mount: mount the boot filesystem only if the image cannot be read without mounting it.
MOUNT_AUTO = "auto"
MOUNT_ALWAYS = "always"

# coldplug: trigger block devices first.
COLDPLUG_BLOCK = "block"

# verity_corruption: reactions to a corrupted block of a verified image.
CORRUPTION = ("error", "restart", "panic")

# Keys of the file that only initoverlayfs-install reads.
BUILD_KEYS = (
    "hash_tree",
    "verity_key",
    "verity_cert",
    "runtime",
    "hostonly",
    "initoverlayfs_builder",
    "initrd_builder",
    "erofs_compression",
)

# name: attribute of Settings. key: name in initoverlayfs.conf, "" if only the command line has it.
# words: names on the kernel command line, () if only the file has it. parse: function of
# storage_init.config.values. accepts: description of the texts that parse accepts. default: value
# if nothing sets it. bare: text that a key or word without a value stands for, "" if it requires
# one. help: description, without a capital and a full stop.
Setting = namedtuple(
    "Setting", ("name", "key", "words", "parse", "accepts", "default", "bare", "help")
)


def _both(
    key: str,
    parse: "object",
    accepts: str,
    default: "object",
    help: str,
    words: "Tuple[str, ...]" = (),
    bare: str = "",
) -> Setting:
    """Return a setting of the file and of the command line, there as PREFIX + key and `words`."""
    words = (PREFIX + key,) + words
    return Setting(key, key, words, parse, accepts, default, bare, help)


def file_only(key: str, parse: "object", accepts: str, default: "object", help: str) -> Setting:
    """Return a setting that the kernel command line cannot change."""
    return Setting(key, key, (), parse, accepts, default, "", help)


FLAG = "0, 1, no, yes, off, on, false or true"
_REFERENCE = "UUID=..., LABEL=..., PARTUUID=..., PARTLABEL=... or /dev/... (spelled as in fstab)"
_TYPE = "a filesystem type of block devices, a comma-separated list of them, or auto"

BOOT_SETTINGS = (
    _both(
        "bootfs",
        values.reference,
        _REFERENCE,
        "",
        "the boot filesystem, which holds the image; if the command line names another one than"
        " the file, the file's bootfs_hint, bootfstype and bootflags are ignored",
    ),
    _both(
        "bootfs_hint",
        values.device,
        "/dev/...",
        "",
        "the device to probe first for the boot filesystem; if it does not match, the search"
        " continues with the other devices",
    ),
    _both(
        "bootfstype",
        values.filesystem_type,
        _TYPE,
        "",
        "type of the boot filesystem; auto or not set: detected; a list: the detected type if the"
        " list contains it, else the first one with a driver",
    ),
    _both(
        "bootflags",
        values.anything,
        "mount options",
        "",
        "mount options of the boot filesystem in addition to ro, such as subvol=NAME",
    ),
    _both(
        "bootfs_mount",
        values.one_of(MOUNT_AUTO, MOUNT_ALWAYS),
        MOUNT_AUTO + " or " + MOUNT_ALWAYS,
        MOUNT_AUTO,
        "auto: release the boot filesystem as soon as the image is attached; always: keep it"
        " mounted read-only until no process of stage 2 uses it",
    ),
    _both(
        "fs",
        values.image,
        "a path that starts with / and contains no .., or -",
        "/initoverlayfs-%v.img",
        "path of the image in the boot filesystem, where %v stands for the kernel release; -: the"
        " device that bootfs names contains the image itself",
        (PREFIX + "image",),
    ),
    _both(
        "fstype",
        values.filesystem_type,
        _TYPE,
        "",
        "filesystem type of the image, see bootfstype",
    ),
    file_only(
        "verity",
        values.one_of("auto", "off", "require"),
        "auto, off or require",
        "auto",
        "auto: verify images that were built with a hash tree; off: verify no image; require:"
        " boot no unverified image, and ignore words of the kernel command line that change the"
        " attempts or open a prompt",
    ),
    file_only(
        "verity_corruption",
        values.one_of(*CORRUPTION),
        ", ".join(CORRUPTION[:-1]) + " or " + CORRUPTION[-1],
        CORRUPTION[0],
        "reaction to a block of a verified image whose hash does not match: a read error (stage 1"
        " goes on with the next attempt), a restart, or a kernel panic",
    ),
    Setting(
        "scsi_addr",
        "scsi.addr",
        ("scsi.addr",),
        values.scsi_address,
        "host:channel:target:lun, four decimal numbers",
        "",
        "",
        "the only SCSI address to scan; requires scsi_mod.scan=manual",
    ),
    _both(
        "overlay",
        values.anything,
        "mount options of tmpfs",
        "size=50%",
        "mount options of the tmpfs that holds the writable layer of stage 2",
    ),
    _both(
        "timeout",
        values.seconds,
        "whole seconds, 1 to 86400",
        30,
        "seconds to wait for a device to appear",
        ("rd.timeout",),
    ),
    Setting(
        "rootwait",
        "",
        ("rootwait",),
        values.rootwait,
        "whole seconds, 1 to 86400; without a value: timeout",
        TIMEOUT,
        TIMEOUT,
        "seconds that a direct boot waits for the root device; it never waits without a limit",
    ),
    Setting(
        "rootdelay",
        "",
        ("rootdelay",),
        values.delay,
        "whole seconds, 0 to 300",
        0,
        "",
        "seconds that a direct boot waits before it looks for the root device; drivers load"
        " meanwhile",
    ),
    Setting(
        "boot",
        "boot",
        ("rd.initoverlayfs",),
        values.first,
        "image, direct, 0 or 1",
        "image",
        "1",
        "the first attempt: the image (image, 1), or a direct boot, which mounts the root"
        " filesystem without the image (direct, 0)",
    ),
    _both(
        "fallback",
        values.fallback,
        "a comma-separated list of previous, direct and rescue, or none",
        "previous,direct,rescue",
        "the attempts after the first one, in order: the previous image, a direct boot, the rescue"
        " prompt (only if shell is set)",
    ),
    _both(
        "shell",
        values.flag,
        FLAG,
        False,
        "open a rescue prompt on the console if all other attempts have failed",
        ("rd.shell",),
        "1",
    ),
    Setting(
        "stop",
        "",
        (PREFIX + "break", "rd.break"),
        values.one_of(*BREAKS),
        ", ".join(BREAKS[:-1]) + " or " + BREAKS[-1],
        "",
        BREAK,
        "open a rescue prompt before this step; without a value: before " + BREAK,
    ),
    _both(
        "emergency",
        values.one_of("reboot", "poweroff", "halt"),
        "reboot, poweroff or halt",
        "reboot",
        "action if all attempts have failed",
        ("rd.emergency",),
    ),
    _both(
        "coldplug",
        values.one_of(COLDPLUG_BLOCK, "all"),
        COLDPLUG_BLOCK + " or all",
        COLDPLUG_BLOCK,
        "the devices that udev triggers in stage 2; block: block devices, and the others only if"
        " the root device has not appeared, a unit waits for another device, or a person must type"
        " something; all: all devices at once, as dracut does",
    ),
    _both("debug", values.flag, FLAG, False, "log the details of every step", ("rd.debug",), "1"),
    file_only(
        "initoverlayfs_init",
        values.one_of(INIT, SYSTEMD),
        "init or systemd",
        INIT,
        "mode of the mini-initramfs that initoverlayfs-install builds; init: storage-init is PID 1;"
        " systemd: storage-init is a service, beside systemd and udev",
    ),
)
