# SPDX-License-Identifier: MIT
import struct
import sys

from support import make

from storage_init.devices import udev


def message(properties, magic=0xFEEDCAFE, offset=40, length=None):
    length = len(properties) if length is None else length
    sizes = struct.pack("@3I", 40, offset, length)
    return b"libudev\0" + struct.pack(">I", magic) + sizes + bytes(16) + properties


DISK = b"ACTION=add\0DEVPATH=/devices/vda\0SUBSYSTEM=block\0DEVNAME=/dev/vda\0ID_FS_UUID=a\0"


def test_a_message_parses_like_a_uevent():
    assert udev.parse(message(DISK)) == {
        "ACTION": "add",
        "DEVPATH": "/devices/vda",
        "SUBSYSTEM": "block",
        "DEVNAME": "vda",
        "ID_FS_UUID": "a",
    }


def test_malformed_messages_are_rejected():
    whole = message(DISK)
    bad = [
        b"",
        b"add@/x\0ACTION=add\0DEVPATH=/x\0",
        b"libudex\0" + whole[8:],
        message(DISK, magic=0xCAFEFEED),
        message(DISK, offset=8),
        message(DISK, offset=41),
        message(DISK, length=0xFFFFFFFF),
        message(b"ACTION=add\0"),
        whole[:-1],
    ] + [whole[:size] for size in range(48)]
    for one in bad:
        assert udev.parse(one) is None, one


def test_invalid_utf8_is_replaced():
    event = udev.parse(message(DISK + b"PARTNAME=\xff\xfe\0=\0\0novalue\0"))
    assert event["PARTNAME"] == "??" and len(event) == 6


def socket_only(work):
    kept = udev.MICROPYTHON
    udev.MICROPYTHON = True
    try:
        return work()
    finally:
        udev.MICROPYTHON = kept


def test_events_from_the_netlink_socket():
    fake, kernel, log, lines = make()
    groups = []
    opened = fake.sc_uevent_open

    def opening(group, size):
        groups.append(group)
        return opened(group, size)

    fake.sc_uevent_open = opening
    events = socket_only(lambda: udev.events(kernel, log))
    fake.uevents = [(0, message(DISK)), (0, b"libudev\0")]
    assert events.receive()["DEVNAME"] == "vda"
    assert events.receive() == {} and events.receive() is None
    events.close()
    assert groups == [2] and fake.open_fds() == []
    assert lines == ["initoverlayfs: receiving udev events from the netlink socket"]


def with_pyudev(module):
    """Return (events, log lines) on a CPython with this module as pyudev; None for no pyudev."""
    kept = udev.MICROPYTHON, sys.modules.get("pyudev")
    _, kernel, log, lines = make()
    udev.MICROPYTHON = False
    sys.modules["pyudev"] = module
    try:
        return udev.events(kernel, log), lines
    finally:
        udev.MICROPYTHON = kept[0]
        del sys.modules["pyudev"]
        if kept[1]:
            sys.modules["pyudev"] = kept[1]


def test_the_source_of_the_events_is_logged():
    if udev.MICROPYTHON:
        return  # its sys.modules cannot prevent an import
    events, lines = with_pyudev(FakePyudev([]))
    assert isinstance(events, udev.Pyudev) and lines == [
        "initoverlayfs: receiving udev events through pyudev"
    ]

    class Broken(FakePyudev):
        def Context(self):
            raise OSError("libudev.so.1: cannot open shared object file")

    for module, why in ((None, "ModuleNotFoundError: "), (Broken([]), "OSError: libudev.so.1: ")):
        events, lines = with_pyudev(module)
        start = "initoverlayfs: receiving udev events from the netlink socket; cannot use pyudev: "
        start += why
        assert isinstance(events, udev.Events)
        assert len(lines) == 1 and lines[0].startswith(start), lines


class Properties(dict):
    def __getitem__(self, key):
        raise UnicodeError("only the properties in use may be decoded")


class FakePyudev:
    """Replace the module, its Monitor and its Context."""

    def __init__(self, devices):
        self.Monitor = self
        self.devices = devices
        self.calls = []
        self.stale_errno = False

    def Context(self):
        return "context"

    def from_netlink(self, context, source):
        self.calls.append((context, source))
        return self

    def filter_by(self, subsystem):
        self.calls.append(subsystem)

    def set_receive_buffer_size(self, size):
        if self.stale_errno:
            raise OSError(2, "No such file or directory")

    def start(self):
        self.calls.append("start")

    def fileno(self):
        return 7

    def poll(self, timeout):
        assert timeout == 0
        return self.devices.pop(0) if self.devices else None


class FakeDevice:
    def __init__(self, properties):
        self.properties = Properties(properties)


def test_events_through_pyudev():
    disk = {
        "ACTION": "add",
        "DEVPATH": "/devices/vda",
        "SUBSYSTEM": "block",
        "DEVNAME": "/dev/vda",
        "PARTNAME": "x",
    }
    fake = FakePyudev([FakeDevice(disk), FakeDevice({"ACTION": "add"})])
    fake.stale_errno = True  # a successful call of libudev leaves errno set
    events = udev.Pyudev(fake)
    assert fake.calls == [("context", "udev"), "block", "scsi_host", "start"] and events.fd == 7
    assert events.receive() == {
        "ACTION": "add",
        "DEVPATH": "/devices/vda",
        "SUBSYSTEM": "block",
        "DEVNAME": "vda",
    }
    assert events.receive() == {} and events.receive() is None
    events.close()
