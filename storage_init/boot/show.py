# SPDX-License-Identifier: MIT
"""Printing what a device holds, in a form that no name on the device can forge."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from storage_init.formats.superblock import Filesystem


def filesystem(found: "Optional[Filesystem]") -> str:
    """Return `TYPE="ext4" UUID="..." LABEL="..."` without the empty ones.

    None is `TYPE="unknown"`.
    """
    text = 'TYPE="' + (found.type if found else "unknown") + '"'
    if found and found.uuid:
        text += ' UUID="' + found.uuid + '"'
    if found and found.label:
        text += ' LABEL="' + plain(found.label) + '"'
    return text


def plain(text: str) -> str:
    """Return `text` with `?` for what could pass for a new line or for the end of a value."""
    result = ""
    for character in text:
        code = ord(character)
        odd = code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000
        odd = odd or code in (0x2028, 0x2029)  # line breaks too
        result += "?" if odd or character in '"\\' else character
    return result
