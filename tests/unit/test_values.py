# SPDX-License-Identifier: MIT
from support import raises

from storage_init.config import values


def test_references():
    for good in ("UUID=x", "LABEL=a b", "/dev/vda1"):
        assert values.is_reference(good)
    for bad in ("", "=", "UUID=", "uuid=x", "vda1", "/dev/", "/dev/../x"):
        assert not values.is_reference(bad), bad


def test_parsed_values():
    assert values.seconds("30") == 30 and values.delay("0") == 0
    assert values.rootwait("timeout") == "timeout" and values.rootwait("09") == "9"
    assert values.first("0") == "direct" and values.first("1") == "image"
    assert values.flag("yes") and not values.flag("0")
    assert values.scsi_address("0:01:0:7") == "0:1:0:7"
    assert values.image("-") == "-" and values.image("/a b") == "/a b"
    for parse, text in ((values.image, "a"), (values.flag, "on"), (values.one_of("a"), "b")):
        raises(ValueError, parse, text)
