# SPDX-License-Identifier: MIT
"""Receive udev's events, which udev sends after its rules have run for a device."""

import struct

from storage_init.devices.uevent import Events
from storage_init.kernel.abi import UEVENT_UDEV
from storage_init.kernel.compat import MICROPYTHON, decode
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.log import Log

_MAGIC = 0xFEEDCAFE
_HEADER = 40
_KEYS = ("ACTION", "DEVPATH", "SUBSYSTEM", "DEVNAME")
# A coldplug overflows the system's default, which pyudev uses.
_RECEIVE_BUFFER = 4 << 20


def parse(message: bytes) -> "Optional[Dict[str, str]]":
    """Return the properties of a message of udev like uevent.parse; None for other messages.

    Format (src/libsystemd/sd-device/device-monitor.c in systemd): `libudev`, NUL; the magic number
    in network byte order; in native byte order, 32 bits each, the size of the header and offset and
    length of the properties; filters, which are ignored. Properties are repeated `KEY=VALUE`, NUL.
    DEVNAME loses its `/dev/`, as the kernel sends it without.
    """
    if len(message) < _HEADER or message[:8] != b"libudev\0":
        return None
    if struct.unpack(">I", message[8:12])[0] != _MAGIC:
        return None
    _, offset, length = struct.unpack("@3I", message[12:24])
    if offset < _HEADER or offset + length > len(message):
        return None
    properties = {}
    for field in message[offset : offset + length].split(b"\0"):
        key, equals, value = decode(field).partition("=")
        if equals and key:
            properties[key] = value
    return _like_kernel(properties)


def _like_kernel(properties: "Dict[str, str]") -> "Optional[Dict[str, str]]":
    """Return the properties with DEVNAME as in a uevent; None if they are not of an event."""
    if "ACTION" not in properties or "DEVPATH" not in properties:
        return None
    name = properties.get("DEVNAME", "")
    if name.startswith("/dev/"):
        properties["DEVNAME"] = name[len("/dev/") :]
    return properties


class Pyudev:
    """Receive events like uevent.Events through pyudev, of block devices and SCSI hosts only.

    It does not report lost messages.
    """

    def __init__(self, pyudev: "Any") -> None:
        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), "udev")
        self._monitor.filter_by("block")
        self._monitor.filter_by("scsi_host")
        try:
            self._monitor.set_receive_buffer_size(_RECEIVE_BUFFER)
        except Exception:
            # libudev returns 1 for success, and pyudev raises an exception for it if errno is
            # stale. If the call has really failed, some messages may be lost.
            pass
        self._monitor.start()
        self.fd = int(self._monitor.fileno())

    def receive(self) -> "Optional[Dict[str, str]]":
        device = self._monitor.poll(0)
        if device is None:
            return None
        # Other properties may contain bytes from the device that pyudev cannot decode.
        given = {key: device.properties.get(key) for key in _KEYS}
        return _like_kernel({key: given[key] for key in _KEYS if given[key]}) or {}

    def close(self) -> None:
        self._monitor = None  # the last reference: its socket is closed


def events(kernel: "Kernel", log: "Log") -> "Any":
    """Return udev's events: through pyudev on CPython, else directly from the netlink socket.

    The socket is also used if pyudev does not work, for example without libudev. Logs the choice.
    """
    why = ""
    if not MICROPYTHON:
        try:
            import pyudev

            found = Pyudev(pyudev)
            log.info("receiving udev events through pyudev")
            return found
        except (ImportError, OSError) as error:
            why = "; cannot use pyudev: " + reason(error)
    log.info("receiving udev events from the netlink socket" + why)
    return Events(kernel, UEVENT_UDEV, parse)
