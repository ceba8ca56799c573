# SPDX-License-Identifier: MIT
from support import mutations, raises

from storage_init.formats import binding
from storage_init.kernel.failure import BootFailure

UUID = "1f0e0000-0000-4000-8000-0000000071e5"
HASH = "0123456789abcdef" * 4
TABLE = "1 4096 4096 10 11 sha256 " + HASH + " 00ff"


def test_each_line_sets_its_field():
    got = binding.parse("uuid " + UUID.upper() + "\nsize 40960\n")
    assert got == (UUID, 40960, None, ())
    got = binding.parse("uuid " + UUID + "\nverity " + TABLE + "\nlater thing\n")
    assert got == (UUID, 0, (40960, HASH, TABLE), ())
    got = binding.parse("uuid " + UUID + "\nneeds /usr/lib/a b\nneeds /c\n")
    assert got.needs == ("/usr/lib/a b", "/c")
    assert binding.parse("uuid " + UUID + "\nverity " + TABLE[:-4] + "-\n").verity.size == 40960


def test_a_malformed_line_is_quoted_in_the_error():
    for text, part in (
        ("", "'uuid '"),
        ("size 40960\n", "'uuid '"),
        ("uuid x\n", "'uuid x'"),
        ("uuid\n", "'uuid'"),
        ("uuid " + "g" * 36 + "\n", "'uuid ggg"),
        ("uuid " + UUID + "\nsize -1\n", "'size -1'"),
        ("uuid " + UUID + "\nsize 1 2\n", "'size 1 2'"),
        ("uuid " + UUID + "\nsize  1\n", "'size  1'"),
        ("uuid " + UUID + "\nverity " + TABLE.replace(" sha256", "  sha256") + "\n", "'verity 1"),
        ("uuid " + UUID + "\nneeds x\n", "'needs x'"),
        ("uuid " + UUID + "\nneeds /a/../b\n", "'needs /a/../b'"),
        ("uuid " + UUID + "\nsize " + "9" * 16 + "\n", "'size 9"),
    ):
        error = raises(BootFailure, binding.parse, text)
        assert part in error.args[0] and "install -f" in error.args[0]
    error = raises(BootFailure, binding.parse, "uuid x\n")
    assert error.args[0] == (
        "/usr/lib/initoverlayfs/image: malformed binding: 'uuid x': cannot tell which image belongs"
        " to this mini-initramfs; build it again with initoverlayfs-install -f"
    )


def test_a_number_has_up_to_15_digits():
    text = "uuid " + UUID + "\nsize {}\n"
    assert binding.parse(text.format("9" * 15)).size == 10**15 - 1
    assert raises(BootFailure, binding.parse, text.format("9" * 16)).args


def test_verity_accepts_block_sizes_of_512_to_4096_bytes():
    for size in (256, 512, 1024, 2048, 4096, 8192):
        table = "1 {} {} 10 11 sha256 {} -".format(size, size, HASH)
        text = "uuid " + UUID + "\nverity " + table + "\n"
        if 512 <= size <= 4096:
            assert binding.parse(text).verity.size == 10 * size
        else:
            assert raises(BootFailure, binding.parse, text).args


def test_the_error_quotes_80_characters_of_the_line():
    error = raises(BootFailure, binding.parse, "size " + "x" * 100)
    assert "'size " + "x" * 75 + "'" in error.args[0]


def test_a_malformed_verity_table_is_refused():
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
        (6, HASH[:63]),
        (7, "zz"),
        (7, "- 1 panic_on_corruption"),
    ):
        wrong = words[:at] + [word] + words[at + 1 :]
        text = "uuid " + UUID + "\nverity " + " ".join(wrong) + "\n"
        assert raises(BootFailure, binding.parse, text).args, wrong


def test_garbage_raises_only_oserror():
    text = ("uuid " + UUID + "\nsize 1\nverity " + TABLE + "\n").encode()
    for data in mutations(text, 300, len(text)):
        try:
            binding.parse("".join([chr(byte) for byte in data]))
        except BootFailure as error:
            assert error.args[0]
