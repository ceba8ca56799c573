# SPDX-License-Identifier: MIT
import struct

from storage_init.superblock import identify

UUID = bytes(range(1, 17))
TEXT = "01020304-0506-0708-090a-0b0c0d0e0f10"


def image(*parts):
    data = bytearray(70000)
    for at, content in parts:
        data[at : at + len(content)] = content
    return lambda offset, size: bytes(data[offset : offset + size])


def ext(compat, incompat, ro_compat):
    features = struct.pack("<III", compat, incompat, ro_compat)
    return identify(
        image((1080, b"\x53\xef"), (1116, features), (1128, UUID), (1144, b"boot\0junk"))
    )


def test_ext():
    assert ext(0, 2, 1) == ("ext2", TEXT, "boot", 0)
    assert ext(4, 2 | 4, 1) == ("ext3", TEXT, "boot", 0)
    assert ext(4, 0x40, 0) == ("ext4", TEXT, "boot", 0)
    assert ext(4, 2, 8).type == "ext4"
    assert ext(0, 8, 0).type == "jbd"


def test_erofs_knows_its_size():
    head = struct.pack("<III", 0xE0F5E1E2, 0, 0) + bytes([12])
    got = identify(image((1024, head), (1060, struct.pack("<I", 5)), (1072, UUID)))
    assert got == ("erofs", TEXT, "", 5 * 4096)


def test_erofs_with_an_absurd_block_size():
    got = identify(image((1024, b"\xe2\xe1\xf5\xe0"), (1036, b"\xff"), (1060, b"\xff\xff\xff\xff")))
    assert got.size == 0


def test_xfs_squashfs_btrfs():
    assert identify(image((0, b"XFSB"), (32, UUID), (108, b"lab\0"))) == ("xfs", TEXT, "lab", 0)
    got = identify(image((0, b"hsqs"), (28, b"\x04\x00"), (40, struct.pack("<Q", 9))))
    assert got == ("squashfs", "", "", 9)
    got = identify(image((65600, b"_BHRfS_M"), (65568, UUID), (65835, b"b\0")))
    assert got == ("btrfs", TEXT, "b", 0)


def test_what_is_no_filesystem():
    assert identify(image()) is None
    assert identify(image((0, b"LUKS\xba\xbe"), (1080, b"\x53\xef"))) is None
    assert identify(image((510, b"\x55\xaa"))) is None  # an MBR
    assert identify(lambda offset, size: b"short") is None


def test_the_end_of_the_device():
    assert identify(lambda offset, size: bytes(size) if offset == 0 else b"") is None
