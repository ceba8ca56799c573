# SPDX-License-Identifier: MIT
"""The table of settings. Reading, checking, `--help` and the documents are all made from it."""

from collections import namedtuple

from storage_init.config import values
from storage_init.config.values import TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

PREFIX = "rd.initoverlayfs."

# The modes: as the first process, or as a service of a mini-initramfs with systemd in it.
INIT = "init"
SYSTEMD = "systemd"

# What runs storage-init in the mini-initramfs.
RUNTIMES = ("micropython", "python3")

# Where rd.break stops.
BREAK = "switch_root"
BREAKS = ("find", "boot", "image", "overlay", BREAK)

# Whether the boot filesystem is mounted where the image can be found on it without that.
MOUNTS = ("auto", "always")

# Which devices stage 2 looks at before it has the root filesystem.
COLDPLUG = ("block", "all")

# What a wrong block of a verified image leads to.
CORRUPTION = ("error", "restart", "panic")

# name: attribute of Settings. key: name in initoverlayfs.conf, "" for none. words: names on the
# kernel command line, none for what is settled when the images are built. accepts: what `parse`
# takes, for people. default: what stands in the documents if it is "". bare: what the word
# alone, without a value, stands for; "": nothing.
Knob = namedtuple("Knob", ("name", "key", "words", "parse", "accepts", "default", "bare", "help"))


def _knob(
    key: str,
    parse: "object",
    accepts: str,
    default: "object",
    help: str,
    words: "Tuple[str, ...]" = (),
    bare: str = "",
) -> Knob:
    """A knob of the file, and of the command line under PREFIX + key and these further words."""
    words = (PREFIX + key,) + words
    return Knob(key.replace(".", "_"), key, words, parse, accepts, default, bare, help)


def _build(key: str, parse: "object", accepts: str, default: "object", help: str) -> Knob:
    """A knob of the file alone."""
    return Knob(key, key, (), parse, accepts, default, "", help)


_REFERENCE = "UUID=..., LABEL=..., PARTUUID=..., PARTLABEL=... or /dev/..."
_FLAG = "0, 1, no or yes"

KNOBS = (
    _knob(
        "bootfs",
        values.reference,
        _REFERENCE,
        "",
        "the filesystem that holds the image; where the command line names another than the file,"
        " what the file says of its hint, type and flags does not count",
    ),
    _knob(
        "bootfs_hint",
        values.device,
        "/dev/...",
        "",
        "the device to look at first for it; a wrong one costs nothing",
    ),
    _knob(
        "bootfstype",
        values.filesystem_type,
        "the name of a filesystem type",
        "",
        "its type, if not detected",
    ),
    _knob(
        "bootflags",
        values.anything,
        "mount options",
        "",
        "its mount options besides ro: subvol=...",
    ),
    _knob(
        "bootfs_mount",
        values.one_of(*MOUNTS),
        " or ".join(MOUNTS),
        MOUNTS[0],
        "auto: an ext4 is not mounted where its driver is not loaded and the image can be read"
        " without, as bootloaders do: it was unmounted cleanly, and all its features are known;"
        " always: for a stage 2 of which a process stays (mdmon), as only mounting keeps its file",
    ),
    _knob(
        "fs",
        values.image,
        "a path that starts with / and has no .. in it, or -",
        "/initoverlayfs-%v.img",
        "path of the image in it, %v being the kernel's release; -: bootfs is the image",
        (PREFIX + "image",),
    ),
    _knob(
        "fstype",
        values.filesystem_type,
        "the name of a filesystem type",
        "",
        "the image's, if not detected",
    ),
    _build(
        "verity",
        values.one_of("auto", "off", "require"),
        "auto, off or require",
        "auto",
        "whether images are verified; auto: the one that was built with a hash tree; require: no"
        " other is booted, and no word on the kernel command line changes what is tried or opens a"
        " prompt",
    ),
    _build(
        "verity_corruption",
        values.one_of(*CORRUPTION),
        ", ".join(CORRUPTION[:-1]) + " or " + CORRUPTION[-1],
        CORRUPTION[0],
        "what a block of a verified image does that is not what it was: a read error (the next"
        " attempt follows, while there is one), a restart, or a kernel panic",
    ),
    Knob(
        "scsi_addr",
        "scsi.addr",
        ("scsi.addr",),
        values.scsi_address,
        "host:channel:target:lun, four decimal numbers",
        "",
        "",
        "with scsi_mod.scan=manual: the only SCSI address to scan",
    ),
    _knob(
        "overlay",
        values.anything,
        "mount options of tmpfs",
        "size=50%",
        "options of the writable layer",
    ),
    _knob(
        "timeout",
        values.seconds,
        "whole seconds, 1 to 86400",
        30,
        "seconds to wait for a device to appear",
        ("rd.timeout",),
    ),
    Knob(
        "rootwait",
        "",
        ("rootwait",),
        values.rootwait,
        "whole seconds, 1 to 86400; the word alone stands for timeout",
        TIMEOUT,
        TIMEOUT,
        "seconds to wait for the root filesystem's device in a direct boot; never for ever",
    ),
    Knob(
        "rootdelay",
        "",
        ("rootdelay",),
        values.delay,
        "whole seconds, 0 to 300",
        0,
        "",
        "seconds before a direct boot looks for the root filesystem; drivers load meanwhile",
    ),
    Knob(
        "boot",
        "boot",
        ("rd.initoverlayfs",),
        values.first,
        "image, direct, 0 or 1",
        "image",
        "1",
        "what to try first: the image, or (direct, 0) the root filesystem without it",
    ),
    _knob(
        "fallback",
        values.fallback,
        "some of previous, direct, rescue with commas between them, or none",
        "previous,direct,rescue",
        "what to try next, in this order: the image before this one, the root filesystem"
        " without an image, the rescue prompt (where shell allows it)",
    ),
    _knob(
        "shell",
        values.flag,
        _FLAG,
        False,
        "open a rescue prompt on the console when nothing else is left",
        ("rd.shell",),
        "1",
    ),
    Knob(
        "stop",
        "",
        (PREFIX + "break", "rd.break"),
        values.one_of(*BREAKS),
        ", ".join(BREAKS[:-1]) + " or " + BREAKS[-1],
        "",
        BREAK,
        "open a rescue prompt before this step; the word alone: before " + BREAK,
    ),
    _knob(
        "emergency",
        values.one_of("reboot", "poweroff", "halt"),
        "reboot, poweroff or halt",
        "reboot",
        "what to do when no way to boot is left",
        ("rd.emergency",),
    ),
    _knob(
        "coldplug",
        values.one_of(*COLDPLUG),
        " or ".join(COLDPLUG),
        COLDPLUG[0],
        "what udev looks at in stage 2: block devices, and all others only where something waits"
        " for them or somebody has to type; all: everything at once, as dracut does",
    ),
    _knob("debug", values.flag, _FLAG, False, "log every step's detail", ("rd.debug",), "1"),
    _build(
        "initoverlayfs_init",
        values.one_of(INIT, SYSTEMD),
        "init or systemd",
        INIT,
        "the mode to build for: storage-init alone, or with systemd and udev",
    ),
    _build(
        "hash_tree",
        values.flag,
        _FLAG,
        False,
        "build the image with a hash tree to verify it by; verity require does so too",
    ),
    _build(
        "verity_key",
        values.file,
        "a path that starts with /",
        "",
        "private key, PEM, to sign the root hash of the hash tree with, for the kernel to check;"
        " like verity_cert a file of the system that initoverlayfs-install runs on, in no image",
    ),
    _build(
        "verity_cert",
        values.file,
        "a path that starts with /",
        "",
        "its certificate, PEM, which the kernel has to trust: it is in the kernel, in a UEFI"
        " variable (db), or enrolled by shim (MokList)",
    ),
    _build(
        "runtime",
        values.one_of(*RUNTIMES),
        "micropython or python3",
        RUNTIMES[0],
        "what runs storage-init: MicroPython, or in systemd mode the system's CPython",
    ),
    _build(
        "hostonly",
        values.one_of("auto", "yes", "no"),
        "auto, yes or no",
        "auto",
        "whether the images have the drivers of this machine only; auto: as dracut.conf says",
    ),
    _build(
        "initoverlayfs_builder",
        values.anything,
        "a command line",
        "dracut",
        "what builds the image's content: dracut, and options for it",
    ),
    _build(
        "initrd_builder",
        values.anything,
        "a command line",
        "dracut",
        "what builds the mini-initramfs: dracut, and options for it",
    ),
    _build(
        "erofs_compression",
        values.compression,
        "a compressor as mkfs.erofs -z takes it, or none",
        "lz4hc,6",  # of a Debian image, level 12 saves 1.3 % and takes 17 times as long
        "how the image is compressed",
    ),
)


def shown_default(knob: Knob) -> str:
    """The default for people; "" where there is none."""
    if isinstance(knob.default, bool):
        return "yes" if knob.default else "no"
    return str(knob.default)


def help_lines() -> "List[str]":
    """The table for people: a line or two each."""
    lines = []
    for knob in KNOBS:
        name = knob.key or knob.words[0]
        text = knob.help
        if not knob.words:
            text += " (file only)"
        default = shown_default(knob)
        if default:
            text += " [" + default + "]"
        lines += _wrapped(name, text)
    return lines


def _wrapped(name: str, text: str) -> "List[str]":
    lines = []
    line = "  {:<22}".format(name)
    for word in text.split(" "):
        if len(line) + 1 + len(word) > 99:
            lines.append(line)
            line = " " * 24
        line += " " + word
    return lines + [line]
