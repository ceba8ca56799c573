# SPDX-License-Identifier: MIT
from support import mutations, raises

from storage_init.formats import binding

UUID = "1f0e0000-0000-4000-8000-0000000071e5"
HASH = "0123456789abcdef" * 4
TABLE = "1 4096 4096 10 11 sha256 " + HASH + " 00ff"


def test_what_the_lines_say():
    got = binding.parse("uuid " + UUID.upper() + "\nsize 40960\n")
    assert got == (UUID, 40960, None, ())
    got = binding.parse("uuid " + UUID + "\nverity " + TABLE + "\nlater thing\n")
    assert got == (UUID, 0, (40960, HASH, TABLE), ())
    got = binding.parse("uuid " + UUID + "\nneeds /usr/lib/a b\nneeds /c\n")
    assert got.needs == ("/usr/lib/a b", "/c")
    assert binding.parse("uuid " + UUID + "\nverity " + TABLE[:-4] + "-\n").verity.size == 40960


def test_what_is_wrong_is_refused_and_named():
    for text, part in (
        ("", "'uuid '"),
        ("size 40960\n", "'uuid '"),
        ("uuid x\n", "'uuid x'"),
        ("uuid\n", "'uuid'"),
        ("uuid " + "g" * 36 + "\n", "'uuid ggg"),
        ("uuid " + UUID + "\nsize -1\n", "'size -1'"),
        ("uuid " + UUID + "\nsize 1 2\n", "'size 1 2'"),
        ("uuid " + UUID + "\nneeds x\n", "'needs x'"),
        ("uuid " + UUID + "\nneeds /a/../b\n", "'needs /a/../b'"),
        ("uuid " + UUID + "\nsize " + "9" * 16 + "\n", "'size 9"),
    ):
        error = raises(OSError, binding.parse, text)
        assert error.errno == 22 and part in error.args[1] and "install -f" in error.args[1]


def test_a_table_that_is_not_as_it_should_be():
    words = TABLE.split(" ")
    for at, word in (
        (0, "2"),
        (1, "4095"),
        (2, "1048576"),
        (3, "0"),
        (4, "x"),
        (5, "sha256/"),
        (5, ""),
        (6, HASH[:-1] + "g"),
        (6, HASH[:32]),
        (7, "zz"),
        (7, "- 1 panic_on_corruption"),
    ):
        wrong = words[:at] + [word] + words[at + 1 :]
        text = "uuid " + UUID + "\nverity " + " ".join(wrong) + "\n"
        assert raises(OSError, binding.parse, text).errno == 22, wrong


def test_garbage_raises_nothing_else():
    text = ("uuid " + UUID + "\nsize 1\nverity " + TABLE + "\n").encode()
    for data in mutations(text, 300, len(text)):
        try:
            binding.parse("".join([chr(byte) for byte in data]))
        except OSError as error:
            assert error.errno == 22
