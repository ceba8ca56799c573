# SPDX-License-Identifier: MIT
from support import make, raises

from storage_init.devices import uevent


def test_a_kernel_message():
    event = uevent.parse(b"add@/devices/vda\0ACTION=add\0DEVPATH=/devices/vda\0DEVNAME=vda\0")
    assert event == {"ACTION": "add", "DEVPATH": "/devices/vda", "DEVNAME": "vda"}


def test_malformed_messages_are_rejected():
    for message in (b"", b"\0", b"libudev\0\xfe\xed", b"add@/x\0DEVNAME=vda\0", b"\xff@\xff\0\xff"):
        assert uevent.parse(message) is None


def test_the_last_of_repeated_keys_wins():
    event = uevent.parse(b"a@b\0ACTION=x\0DEVPATH=y\0K=1\0K=2")
    assert event["K"] == "2"


def test_invalid_utf8_is_replaced():
    event = uevent.parse(b"a@b\0ACTION=x\0DEVPATH=y\0PARTNAME=\xff\xfe")
    assert event["PARTNAME"] == "??"


def test_a_uevent_file_in_sysfs():
    assert uevent.parse_file("DEVNAME=vda\nDEVTYPE=disk\n\n") == {
        "DEVNAME": "vda",
        "DEVTYPE": "disk",
    }


def test_events_from_the_netlink_socket():
    fake, kernel, _, _ = make()
    events = uevent.Events(kernel)
    fake.uevents = [(0, b"add@/x\0ACTION=add\0DEVPATH=/x\0"), (0, b"garbage"), (0, 105)]
    assert events.receive() == {"ACTION": "add", "DEVPATH": "/x"}
    assert events.receive() == {}
    assert raises(OSError, events.receive).errno == 105
    assert events.receive() is None
    events.close()
    assert fake.open_fds() == []
