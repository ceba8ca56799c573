# SPDX-License-Identifier: MIT
"""Messages of the kernel's uevent socket, and the socket."""

from storage_init.kernel.abi import UEVENT_KERNEL
from storage_init.kernel.compat import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Optional

    from storage_init.kernel.calls import Kernel


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


class Events:
    """A socket of messages about devices, by netlink group and what parses its messages.

    `fd` is readable when there are some.
    """

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
        """The properties of one message; none for what was not for us; None: no message is there.

        OSError(ENOBUFS) when messages were lost: look at all devices again.
        """
        message = self._kernel.uevent_receive(self.fd)
        return None if message is None else self._parse(message) or {}

    def close(self) -> None:
        self._kernel.close(self.fd)
