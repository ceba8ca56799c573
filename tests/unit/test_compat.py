# SPDX-License-Identifier: MIT
from support import raises

from storage_init.kernel import compat


def test_decode_never_fails():
    assert compat.decode(b"plain") == "plain"
    assert compat.decode("gr\u00fcn".encode()) == "gr\u00fcn"
    assert compat.decode(b"a\xffb\xc3") == "a?b?"
    assert compat.decode(bytes(range(256)))[:128] == "".join([chr(i) for i in range(128)])
    assert compat.decode(b"") == ""


def test_malformed_utf8_is_replaced():
    for data in (
        b"\xed\xa0\x80",  # a surrogate
        b"\xc0\x8a",  # a line feed in two bytes
        b"\xe0\x80\xaf",
        b"\xf4\x90\x80\x80",  # beyond Unicode
        b"\xf5\x80\x80\x80",
    ):
        assert compat.decode(b"a" + data + b"bc") == "a" + "?" * len(data) + "bc", data
    for text in ("\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff", "\U00010000\U0010ffff"):
        assert compat.decode(text.encode()) == text
        assert compat.decode(text.encode() + b"\xff") == text + "?"


def test_decode_utf16():
    for data, text in (
        (b"", ""),
        (b"o\0k\0", "ok"),
        (b"o\0k\0\0\0x\0", "ok"),
        (b"\xf6\0\x42\x01x", "\u00f6\u0142"),
        (b"\x3d\xd8\x00\xde!\0", "\U0001f600!"),
        (b"\x00\xdea\0\x3d\xd8", "?a?"),
        (b"\x3d\xd8\x3d\xd8\x00\xde", "?\U0001f600"),
        (b"\x3d\xd8a\0", "?a"),
    ):
        assert compat.decode_utf16(data) == text


def test_the_name_of_the_interpreter():
    assert compat.IMPLEMENTATION.split()[0] == ("MicroPython" if compat.MICROPYTHON else "CPython")


def test_a_string_with_a_nul_is_rejected():
    error = raises(OSError, compat.syscalls.sc_fs_magic, "/\0x")
    assert error.errno == 22 and error.args[1] == "the string contains a NUL"
    assert compat.syscalls.sc_fs_magic("/") > 0


def test_decoding_does_not_intern_characters():
    # A malicious partition table can contain thousands of characters. The heap has 1 MB.
    for start in range(0x100, 0xD800, 32):
        units = range(start, min(start + 32, 0xD800))
        data = b"".join([bytes([unit & 0xFF, unit >> 8]) for unit in units])
        text = compat.decode_utf16(data)
        assert len(text) == len(units)
        assert compat.decode(text.encode() + b"\xff") == text + "?"
