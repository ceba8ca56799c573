# SPDX-License-Identifier: MIT
"""Read the boot settings from initoverlayfs.conf and from the kernel command line."""

from storage_init.config.boot_settings import BOOT_SETTINGS, BUILD_KEYS, PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Set, Tuple

    from storage_init.config.boot_settings import Setting
    from storage_init.config.cmdline import Word

CONFIGURATION = "/etc/initoverlayfs.conf"

# str.strip() without an argument removes other characters on each interpreter.
_BLANKS = " \t\r\v\f"

REQUIRE = "require"
# Settings that the kernel command line cannot change under `verity require`: each of them could
# boot an unverified system.
_LOCKED = ("boot", "fallback", "fstype", "shell", "stop")

# Settings of the file that describe the file's bootfs, and no other filesystem.
_ABOUT_BOOTFS = ("bootfs_hint", "bootfstype", "bootflags")


class Settings:
    """Hold the value of each setting as an attribute of its name.

    warnings: a sentence for each key, word or value that was ignored.
    configured: the names of the settings that the file sets.
    """

    table: "Tuple[Setting, ...]" = BOOT_SETTINGS

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

    def __init__(self) -> None:
        self.warnings: List[str] = []
        self.configured: Set[str] = set()
        for setting in self.table:
            setattr(self, setting.name, setting.default)

    def _set(self, setting: "Setting", text: str, where: str) -> bool:
        """Parse `text` and return True, or add a warning and return False."""
        try:
            if not text or "\0" in text:
                raise ValueError
            setattr(self, setting.name, setting.parse(text))
            return True
        except ValueError as error:
            kept = getattr(self, setting.name)
            self.warnings.append(
                "{}{} ignored: {}; using {}".format(
                    where,
                    ": " + setting.key if setting.key else "",
                    _why(error, setting) if text else "it is empty",
                    repr(kept) if kept != "" else "none",
                )
            )
            return False

    def read_configuration(self, text: str, name: str = CONFIGURATION) -> None:
        """Set the values in the text of an initoverlayfs.conf; `name` is its path for warnings.

        Each line is `key value` or `key=value`. `#` starts a comment at the start of a line or
        after a blank. Double quotes around a value are removed. An unknown key or a malformed value
        adds a warning with path, line and key. Keys of build settings are skipped.
        """
        by_key = {setting.key: setting for setting in self.table if setting.key}
        for number, line in enumerate(text.split("\n")):
            line = line.strip(_BLANKS)
            if not line or line.startswith("#"):
                continue
            key, value = _split_line(line)
            where = name + ":" + str(number + 1)
            if key in by_key:
                setting = by_key[key]
                if self._set(setting, setting.bare if value is None else value, where):
                    self.configured.add(setting.name)
            elif key not in BUILD_KEYS:
                self.warnings.append(where + ": unknown key " + repr(key) + " ignored")

    def read_cmdline(self, words: "List[Word]") -> None:
        """Set the values among the words of a kernel command line (see cmdline.split).

        If the words change bootfs, the file's description of its own bootfs is dropped.
        """
        by_word = {word: setting for setting in self.table for word in setting.words}
        bootfs_in_file = self.bootfs
        named: List[str] = []
        for key, value in words:
            where = "kernel command line: " + key
            if key == "rd.break" and value is not None:
                continue  # dracut's own break points, which are in stage 2
            if key in by_word:
                setting = by_word[key]
                if self.verity == REQUIRE and setting.name in _LOCKED:
                    self.warnings.append(where + " ignored: the configuration says verity require")
                elif self._set(setting, setting.bare if value is None else value, where):
                    named.append(setting.name)
            elif key.startswith(PREFIX):
                self.warnings.append("kernel command line: unknown word " + repr(key) + " ignored")
        if not _is_same(self.bootfs, bootfs_in_file):
            for setting in self.table:
                if setting.name in _ABOUT_BOOTFS and setting.name not in named:
                    setattr(self, setting.name, setting.default)

    def change(self, name: str, text: str) -> None:
        """Set one setting by its name. Raises ValueError for an unknown name or a bad value."""
        for setting in self.table:
            if setting.name == name and text:
                try:
                    setattr(self, name, setting.parse(text))
                    return
                except ValueError as error:
                    raise ValueError(name + ": " + _why(error, setting))
        raise ValueError("no such setting, or an empty value: " + name)


def _why(error: ValueError, setting: "Setting") -> str:
    return str(error.args[0]) if error.args else "expected " + setting.accepts


def _is_same(one: str, other: str) -> bool:
    """Return whether two references are equal, UUIDs in upper or lower case."""
    if one == other:
        return True
    return one.startswith(("UUID=", "PARTUUID=")) and one.lower() == other.lower()


def _split_line(line: str) -> "Tuple[str, Optional[str]]":
    """Return key and value of a line. The value is None if there is only a key."""
    end = 0
    while end < len(line) and line[end] not in " \t=":
        end += 1
    key, rest = line[:end], line[end:]
    value = rest.strip(_BLANKS)
    given = value.startswith("=")
    if given:
        rest = value[1:]
        value = rest.strip(_BLANKS)
    if value.startswith('"') and '"' in value[1:]:
        return key, value[1 : value.index('"', 1)]
    end = _end_of_quotes(rest)
    quoted, rest = rest[:end], rest[end:]
    for start in (" #", "\t#"):
        rest = rest.split(start)[0]
    value = (quoted + rest).strip(_BLANKS)
    return key, value if value or given else None


def _end_of_quotes(text: str) -> int:
    """Return the end of a quoted name such as that of `LABEL="a # b"`, 0 if there is none."""
    for quote in ('"', "'"):
        start = text.find("=" + quote)
        if start >= 0:
            return text.find(quote, start + 2) + 1
    return 0
