# SPDX-License-Identifier: MIT
"""The knobs: one table, read from initoverlayfs.conf and then from the kernel command line."""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional, Tuple

    Word = Tuple[str, Optional[str]]

PREFIX = "rd.initoverlayfs."
CONFIGURATION = "/etc/initoverlayfs.conf"

# As the path of the image: the boot filesystem is the image.
ITSELF = "-"

# The modes: as the first process, or as a service of a mini-initramfs with systemd in it.
INIT = "init"
SYSTEMD = "systemd"

# key: its name in initoverlayfs.conf; PREFIX + key is its word on the kernel command line.
# aliases: further words there. parse: text -> value, raises ValueError saying what is accepted.
Knob = namedtuple("Knob", ("key", "aliases", "parse", "default", "help"))


def _reference(text: str) -> str:
    kind, equals, name = text.partition("=")
    if equals and kind in ("UUID", "LABEL", "PARTUUID", "PARTLABEL") and name or _is_device(text):
        return text
    raise ValueError("want UUID=..., LABEL=..., PARTUUID=..., PARTLABEL=... or /dev/...")


def _is_device(text: str) -> bool:
    return text.startswith("/dev/") and ".." not in text.split("/") and text != "/dev/"


def _device(text: str) -> str:
    if not _is_device(text):
        raise ValueError("want /dev/...")
    return text


def _image(text: str) -> str:
    if text != ITSELF and (not text.startswith("/") or ".." in text.split("/")):
        raise ValueError("want a path that starts with / and has no .. in it, or -")
    return text


def _options(text: str) -> str:
    return text


def _type(text: str) -> str:
    for character in text:
        if not ("a" <= character <= "z" or "0" <= character <= "9" or character in "_."):
            raise ValueError("want the name of a filesystem type")
    return text


def _seconds(text: str) -> int:
    if not text.isdigit() or len(text) > 5 or int(text) > 86400:
        raise ValueError("want whole seconds, 0 to 86400")
    return int(text)


def _scsi_address(text: str) -> str:
    numbers = text.split(":")
    bad = [1 for one in numbers if not one or len(one) > 10 or one.strip("0123456789")]
    if len(numbers) != 4 or bad:
        raise ValueError("want host:channel:target:lun, four decimal numbers")
    return ":".join([str(int(one)) for one in numbers])


def _emergency(text: str) -> str:
    if text not in ("reboot", "poweroff", "halt"):
        raise ValueError("want reboot, poweroff or halt")
    return text


def _mode(text: str) -> str:
    if text not in (INIT, SYSTEMD):
        raise ValueError("want init or systemd")
    return text


def _flag(text: str) -> bool:
    if text not in ("0", "1", "no", "yes"):
        raise ValueError("want 0, 1, no or yes")
    return text in ("1", "yes")


KNOBS = (
    Knob("bootfs", (), _reference, "", "filesystem that holds the image"),
    Knob("bootfs_hint", (), _device, "", "the device to look at first for it: /dev/..."),
    Knob("bootfstype", (), _type, "", "its type; empty: detected"),
    Knob("bootflags", (), _options, "", "its mount options besides ro"),
    Knob(
        "fs",
        (PREFIX + "image",),
        _image,
        "/initoverlayfs-%v.img",
        "path of the image in bootfs, %v being the kernel's release; -: bootfs is the image",
    ),
    Knob("fstype", (), _type, "", "type of the image; empty: detected"),
    Knob("overlay", (), _options, "size=50%", "tmpfs options of the writable layer"),
    Knob("timeout", ("rd.timeout",), _seconds, 30, "seconds to wait for bootfs to appear"),
    Knob(
        "scsi.addr",
        ("scsi.addr",),
        _scsi_address,
        "",
        "with scsi_mod.scan=manual, the SCSI address to scan: host:channel:target:lun",
    ),
    Knob(
        "emergency",
        ("rd.emergency",),
        _emergency,
        "reboot",
        "when no way to boot is left: reboot, poweroff or halt",
    ),
    Knob("debug", ("rd.debug",), _flag, False, "log every step's detail"),
    Knob("initoverlayfs_init", (), _mode, INIT, "mode to build for: init or systemd (file only)"),
)


# Settled when the mini-initramfs is built: nothing for the kernel command line.
_FILE_ONLY = ("initoverlayfs_init",)


def attribute(knob: "Any") -> str:
    return str(knob.key).replace(".", "_")


class Settings:
    """The value of each knob as an attribute of its name; `warnings` says what was not taken."""

    if TYPE_CHECKING:
        bootfs: str
        bootfs_hint: str
        bootfstype: str
        bootflags: str
        fs: str
        fstype: str
        overlay: str
        timeout: int
        scsi_addr: str
        emergency: str
        debug: bool
        initoverlayfs_init: str

    def __init__(self) -> None:
        self.warnings: List[str] = []
        for knob in KNOBS:
            setattr(self, attribute(knob), knob.default)

    def _set(self, knob: "Any", text: "Optional[str]", where: str) -> None:
        if text is None and knob.parse is _flag:
            text = "1"  # the word alone switches it on
        try:
            if not text:
                raise ValueError("it is empty")
            setattr(self, attribute(knob), knob.parse(text))
        except ValueError as error:
            kept = getattr(self, attribute(knob))
            self.warnings.append(
                "{}: {} ignored: {}; using {}".format(
                    where, knob.key, error.args[0], repr(kept) if kept != "" else "none"
                )
            )

    def read_configuration(self, text: str, name: str = CONFIGURATION) -> None:
        """Take the settings in the text of an initoverlayfs.conf.

        One `key value` or `key=value` a line; `#` starts a comment where a line or a word could
        start; a value may stand in double quotes. What is unknown or malformed becomes a
        warning that names file, line and key.
        """
        knobs = {knob.key: knob for knob in KNOBS}
        for number, line in enumerate(text.split("\n")):
            key, value = _split_line(line)
            if not key:
                continue
            where = name + ":" + str(number + 1)
            if key in knobs:
                self._set(knobs[key], value or None, where)
            else:
                self.warnings.append(where + ": unknown key " + repr(key) + " ignored")

    def read_cmdline(self, words: "List[Word]") -> None:
        """Take the settings among the words of a kernel command line (see cmdline.split)."""
        knobs = {}
        for knob in [knob for knob in KNOBS if knob.key not in _FILE_ONLY]:
            knobs[PREFIX + knob.key] = knob
            for alias in knob.aliases:
                knobs[alias] = knob
        for key, value in words:
            if key in knobs:
                self._set(knobs[key], value, "kernel command line: " + key)
            elif key.startswith(PREFIX):
                self.warnings.append("kernel command line: unknown word " + repr(key) + " ignored")


def _split_line(line: str) -> "Tuple[str, str]":
    line = line.strip()
    if line.startswith("#"):
        return "", ""
    end = 0
    while end < len(line) and line[end] not in " \t=":
        end += 1
    key, value = line[:end], line[end:].strip()
    if value.startswith("="):
        value = value[1:].strip()
    if value.startswith('"') and '"' in value[1:]:
        return key, value[1 : value.index('"', 1)]
    for start in (" #", "\t#"):
        value = value.split(start)[0]
    return key, value.strip()


def help_lines() -> "List[str]":
    """The table of knobs for people, a line each."""
    lines = []
    for knob in KNOBS:
        default = "" if knob.default in ("", False) else " [{}]".format(knob.default)
        lines.append("  {:<18} {}{}".format(knob.key, knob.help, default))
    return lines
