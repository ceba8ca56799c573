# SPDX-License-Identifier: MIT
"""Format the settings for `storage-init --help`. PID 1 does not import this module."""

from storage_init.config.boot_settings import BOOT_SETTINGS, BUILD_KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from storage_init.config.boot_settings import Setting

_WIDTH = 99
_INDENT = 24


def shown_default(setting: "Setting") -> str:
    """Return the default as a user would write it; "" if there is none."""
    if isinstance(setting.default, bool):
        return "yes" if setting.default else "no"
    return str(setting.default)


def help_lines() -> "List[str]":
    """Return an entry for each boot setting, then the keys of the build settings."""
    lines = []
    for setting in BOOT_SETTINGS:
        name = setting.key or setting.words[0]
        text = setting.help
        if not setting.words:
            text += " (file only)"
        default = shown_default(setting)
        if default:
            text += " [" + default + "]"
        lines += _wrapped("  {:<22}".format(name), text)
    lines += ["", "Settings that only initoverlayfs-install reads, from the same file:"]
    return lines + _wrapped(" " * _INDENT, ", ".join(BUILD_KEYS))


def _wrapped(line: str, text: str) -> "List[str]":
    lines = []
    for word in text.split(" "):
        if len(line) + 1 + len(word) > _WIDTH:
            lines.append(line)
            line = " " * _INDENT
        line += " " + word
    return lines + [line]
