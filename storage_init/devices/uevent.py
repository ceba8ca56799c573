# SPDX-License-Identifier: MIT
"""Receive and parse uevents."""

from storage_init.kernel.abi import UEVENT_KERNEL
from storage_init.kernel.compat import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Optional

    from storage_init.kernel.calls import Kernel


def parse(message: bytes) -> "Optional[Dict[str, str]]":
    """Return the properties of a kernel uevent, or None for another message.

    Format (lib/kobject_uevent.c): `ACTION@DEVPATH`, NUL, then repeated `KEY=VALUE`, NUL. The last
    of repeated keys wins. Does not check the sender: sc_uevent_receive does.
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
    """Parse the `KEY=VALUE` lines of a `uevent` file in sysfs. It has no ACTION and DEVPATH."""
    properties = {}
    for line in text.split("\n"):
        key, equals, value = line.partition("=")
        if equals:
            properties[key] = value
    return properties


class Events:
    """Receive the messages of a netlink group. `fd` is readable if messages are queued."""

    def __init__(
        self,
        kernel: "Kernel",
        group: int = UEVENT_KERNEL,
        parser: "Callable[[bytes], Optional[Dict[str, str]]]" = parse,
    ) -> None:
        self.fd = kernel.uevent_open(group)
        self._kernel = kernel
        self._parse = parser

    def receive(self) -> "Optional[Dict[str, str]]":
        """Return the properties of a message, {} for one to ignore, or None if none is queued.

        Raises OSError(ENOBUFS) if messages were lost: the caller must scan all devices again.
        """
        message = self._kernel.uevent_receive(self.fd)
        return None if message is None else self._parse(message) or {}

    def close(self) -> None:
        self._kernel.close(self.fd)
