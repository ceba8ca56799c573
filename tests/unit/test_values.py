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
    for text in ("1", "yes", "y", "true", "t", "on", "Yes", "ON"):
        assert values.flag(text) is True, text
    for text in ("0", "no", "n", "false", "f", "off", "No", "OFF"):
        assert values.flag(text) is False, text
    assert values.scsi_address("0:01:0:7") == "0:1:0:7"
    assert values.image("-") == "-" and values.image("/a b") == "/a b"
    assert values.one_of("a", "b")("b") == "b" and values.file("/a b") == "/a b"
    for parse, text in (
        (values.image, "a"),
        (values.flag, "enabled"),
        (values.flag, "2"),
        (values.one_of("a"), "b"),
        (values.file, "a/b"),
    ):
        raises(ValueError, parse, text)


def test_the_least_and_the_greatest_number():
    assert (values.seconds("1"), values.seconds("86400")) == (1, 86400)
    assert (values.delay("000"), values.delay("300")) == (0, 300)
    assert values.scsi_address("0:0:0:4294967295") == "0:0:0:4294967295"


def test_a_number_with_too_many_digits_is_rejected():
    for parse, text in ((values.seconds, "000030"), (values.delay, "0030")):
        raises(ValueError, parse, text)


def test_a_filesystem_type_consists_of_lower_case_letters_digits_underscore_and_dot():
    for code in range(128):
        character = chr(code)
        if character in "abcdefghijklmnopqrstuvwxyz0123456789_.":
            assert values.filesystem_type("x" + character) == "x" + character
        else:
            raises(ValueError, values.filesystem_type, "x" + character)


def test_a_compression_consists_of_letters_digits_comma_equals_sign_and_hyphen():
    for good in ("none", "lz4", "zstd,level=3", "lz4hc,12", "a-b"):
        assert values.compression(good) == good
    for bad in ("lz4;x", "lz4 x", "../x", "$x"):
        raises(ValueError, values.compression, bad)


def test_references_in_the_spellings_of_fstab_and_udev():
    for text, found in (
        ('UUID="x"', "UUID=x"),
        ("LABEL=my\\x20boot", "LABEL=my boot"),
        ("/dev/disk/by-partuuid/x-1", "PARTUUID=x-1"),
        ("LABEL=Bob's", "LABEL=Bob's"),
    ):
        assert values.reference(text) == found
    for bad in ('UUID=""', "/dev/disk/by-id/x", "/dev/disk/by-uuid/", "TYPE='x'", "/dev/\\056."):
        raises(ValueError, values.reference, bad)
    assert values.device("'/dev/vda'") == "/dev/vda"
    for bad in ("/dev/disk/by-uuid/x", "/dev/disk/by-id/x", 'UUID="x"'):
        raises(ValueError, values.device, bad)
