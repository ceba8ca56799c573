# SPDX-License-Identifier: MIT
"""udev's events: what it tells everyone once its rules have run for a device."""

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
# pyudev's own is the system's default, which a coldplug overflows.
_RECEIVE_BUFFER = 4 << 20


def parse(message: bytes) -> "Optional[Dict[str, str]]":
    """The properties of one message of udev, in the form of uevent.parse; None if it is not one.

    Format (systemd, src/libsystemd/sd-device/device-monitor.c): `libudev`, NUL; the magic number
    in network byte order; in the machine's, 32 bits each, the header's size and the properties'
    offset and length; filters, which are not for us. Properties are `KEY=VALUE`, NUL, repeated.
    DEVNAME is a path below /dev here, and becomes what the kernel would say.
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
    return _as_the_kernel(properties)


def _as_the_kernel(properties: "Dict[str, str]") -> "Optional[Dict[str, str]]":
    if "ACTION" not in properties or "DEVPATH" not in properties:
        return None
    name = properties.get("DEVNAME", "")
    if name.startswith("/dev/"):
        properties["DEVNAME"] = name[len("/dev/") :]
    return properties


class Pyudev:
    """uevent.Events by pyudev, of block devices and SCSI hosts only.

    It does not say when messages were lost.
    """

    def __init__(self, pyudev: "Any") -> None:
        self._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), "udev")
        self._monitor.filter_by("block")
        self._monitor.filter_by("scsi_host")
        try:
            self._monitor.set_receive_buffer_size(_RECEIVE_BUFFER)
        except Exception:
            # libudev returns 1 once it has changed it, of which pyudev makes an exception if errno
            # is not 0 from anything before. With a smaller one, messages may get lost.
            pass
        self._monitor.start()
        self.fd = int(self._monitor.fileno())

    def receive(self) -> "Optional[Dict[str, str]]":
        device = self._monitor.poll(0)
        if device is None:
            return None
        # Only these: others may hold a device's own bytes, which pyudev fails to decode.
        given = {key: device.properties.get(key) for key in _KEYS}
        return _as_the_kernel({key: given[key] for key in _KEYS if given[key]}) or {}

    def close(self) -> None:
        self._monitor = None  # its socket goes with its last reference


def events(kernel: "Kernel", log: "Log") -> "Any":
    """udev's events as uevent.Events: by pyudev on a CPython that has it, else from the socket.

    A pyudev that does not work (its libudev is missing, say) is as good as none. Says which it is.
    """
    why = ""
    if not MICROPYTHON:
        try:
            import pyudev

            found = Pyudev(pyudev)
            log.info("events by pyudev")
            return found
        except (ImportError, OSError) as error:
            why = ", without pyudev: " + reason(error)
    log.info("events by udev's socket" + why)
    return Events(kernel, UEVENT_UDEV, parse)
