# SPDX-License-Identifier: MIT
"""Reading the settings: initoverlayfs.conf first, then the kernel command line."""

from storage_init.config.knobs import KNOBS, PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Set, Tuple

    from storage_init.config.knobs import Knob

    Word = Tuple[str, Optional[str]]

CONFIGURATION = "/etc/initoverlayfs.conf"

# What strip() takes for blanks differs between the interpreters.
_BLANKS = " \t\r\v\f"

REQUIRE = "require"
# What `verity require` takes away from the kernel command line: each could lead around it.
_LOCKED = ("boot", "fallback", "shell", "stop")

# What the file says of its bootfs, and of no other.
_ABOUT_BOOTFS = ("bootfs_hint", "bootfstype", "bootflags")


class Settings:
    """The value of each knob as an attribute of its name; `warnings` says what was not taken."""

    if TYPE_CHECKING:
        bootfs: str
        bootfs_hint: str
        bootfstype: str
        bootflags: str
        bootfs_mount: str
        fs: str
        fstype: str
        verity: str
        verity_corruption: str
        overlay: str
        timeout: int
        rootwait: str
        rootdelay: int
        boot: str
        fallback: str
        shell: bool
        stop: str
        scsi_addr: str
        emergency: str
        coldplug: str
        debug: bool
        initoverlayfs_init: str
        hash_tree: bool
        verity_key: str
        verity_cert: str
        runtime: str
        hostonly: str
        initoverlayfs_builder: str
        initrd_builder: str
        erofs_compression: str

    def __init__(self) -> None:
        self.warnings: List[str] = []
        self.configured: Set[str] = set()  # names of the knobs that the file sets
        for knob in KNOBS:
            setattr(self, knob.name, knob.default)

    def _set(self, knob: "Knob", text: str, where: str) -> bool:
        try:
            if not text or "\0" in text:
                raise ValueError
            setattr(self, knob.name, knob.parse(text))
            return True
        except ValueError:
            kept = getattr(self, knob.name)
            self.warnings.append(
                "{}{} ignored: {}; using {}".format(
                    where,
                    ": " + knob.key if knob.key else "",
                    "want " + knob.accepts if text else "it is empty",
                    repr(kept) if kept != "" else "none",
                )
            )
            return False

    def read_configuration(self, text: str, name: str = CONFIGURATION) -> None:
        """Take the settings in the text of an initoverlayfs.conf.

        One `key value` or `key=value` a line; `#` starts a comment where a line or a word could
        start; a value may stand in double quotes. What is unknown or malformed becomes a
        warning that names file, line and key.
        """
        knobs = {knob.key: knob for knob in KNOBS if knob.key}
        for number, line in enumerate(text.split("\n")):
            key, value = _split_line(line)
            if not key:
                continue
            where = name + ":" + str(number + 1)
            if key not in knobs:
                self.warnings.append(where + ": unknown key " + repr(key) + " ignored")
            elif self._set(knobs[key], value or knobs[key].bare, where):
                self.configured.add(knobs[key].name)

    def read_cmdline(self, words: "List[Word]") -> None:
        """Take the settings among the words of a kernel command line (see cmdline.split).

        Another bootfs than the file's is not of the type, and so on, that the file says its is.
        """
        knobs = {word: knob for knob in KNOBS for word in knob.words}
        configured = self.bootfs
        named: List[str] = []
        for key, value in words:
            where = "kernel command line: " + key
            if key == "rd.break" and value is not None:
                continue  # dracut's own break points, which are in stage 2
            if key in knobs and self.verity == REQUIRE and knobs[key].name in _LOCKED:
                self.warnings.append(where + " ignored: the configuration says verity require")
            elif key in knobs:
                if self._set(knobs[key], knobs[key].bare if value is None else value, where):
                    named.append(knobs[key].name)
            elif key.startswith(PREFIX):
                self.warnings.append("kernel command line: unknown word " + repr(key) + " ignored")
        for knob in KNOBS:
            if self.bootfs != configured and knob.name in _ABOUT_BOOTFS and knob.name not in named:
                setattr(self, knob.name, knob.default)

    def change(self, name: str, text: str) -> None:
        """Give one knob, by its name, the value this text stands for; ValueError if it cannot."""
        for knob in KNOBS:
            if knob.name == name and text:
                try:
                    setattr(self, name, knob.parse(text))
                    return
                except ValueError:
                    raise ValueError(name + ": want " + knob.accepts)
        raise ValueError("no such setting, or an empty one: " + name)


def _split_line(line: str) -> "Tuple[str, str]":
    line = line.strip(_BLANKS)
    if line.startswith("#"):
        return "", ""
    end = 0
    while end < len(line) and line[end] not in " \t=":
        end += 1
    key, value = line[:end], line[end:].strip(_BLANKS)
    if value.startswith("="):
        value = value[1:].strip(_BLANKS)
    if value.startswith('"') and '"' in value[1:]:
        return key, value[1 : value.index('"', 1)]
    for start in (" #", "\t#"):
        value = value.split(start)[0]
    return key, value.strip(_BLANKS)
