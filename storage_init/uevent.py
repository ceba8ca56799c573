# SPDX-License-Identifier: MIT
"""Messages of the kernel's uevent socket."""

from storage_init.compat import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Optional


def parse(message: bytes) -> "Optional[Dict[str, str]]":
    """The properties of one kernel uevent, or None if it is not one.

    Format (lib/kobject_uevent.c): `ACTION@DEVPATH`, NUL, then `KEY=VALUE`, NUL, repeated. Of a
    repeated key the last one counts. Who sent it is for the caller to know: this only reads.
    """
    fields = message.split(b"\0")
    if b"@" not in fields[0]:
        return None
    properties = {}
    for field in fields[1:]:
        key, equals, value = decode(field).partition("=")
        if equals and key:
            properties[key] = value
    if "ACTION" not in properties or "DEVPATH" not in properties:
        return None
    return properties


def parse_file(text: str) -> "Dict[str, str]":
    """The properties in a sysfs `uevent` file: `KEY=VALUE` lines (no ACTION, no DEVPATH)."""
    properties = {}
    for line in text.split("\n"):
        key, equals, value = line.partition("=")
        if equals:
            properties[key] = value
    return properties
