# SPDX-License-Identifier: MIT
"""What was read from a device, as text that people and scripts can trust."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from storage_init.formats.superblock import Filesystem


def filesystem(found: "Optional[Filesystem]") -> str:
    """`TYPE="ext4" UUID="..." LABEL="..."`, empty ones left out; `TYPE="unknown"` for None."""
    text = 'TYPE="' + (found.type if found else "unknown") + '"'
    if found and found.uuid:
        text += ' UUID="' + found.uuid + '"'
    if found and found.label:
        text += ' LABEL="' + plain(found.label) + '"'
    return text


def plain(text: str) -> str:
    """`text` with `?` for what could pass for another line or for the end of a value."""
    result = ""
    for character in text:
        code = ord(character)
        odd = code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000
        odd = odd or code in (0x2028, 0x2029)  # line breaks too
        result += "?" if odd or character in '"\\' else character
    return result
