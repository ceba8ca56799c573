# SPDX-License-Identifier: MIT
import struct

from support import mutations, noise, reader, sparse

from storage_init.formats.superblock import identify, probe

UUID = bytes(range(1, 17))
TEXT = "01020304-0506-0708-090a-0b0c0d0e0f10"


def image(*parts, fill=0):
    """Return read() of a device with these (offset, content)s and `fill` around them."""
    size = max([at for at, _ in parts] + [8192]) + 2048
    data = bytearray(bytes([fill]) * size)
    for at, content in parts:
        data[at : at + len(content)] = content
    return lambda offset, size: bytes(data[offset : offset + size])


def ext(compat, incompat, ro_compat):
    features = struct.pack("<III", compat, incompat, ro_compat)
    return identify(
        image((1080, b"\x53\xef"), (1116, features), (1128, UUID), (1144, b"boot\0junk"))
    )


# Type, parts of its superblock, where its UUID and label are, bytes of the longest label, size.
FULL = (
    ("ext3", ((1080, b"\x53\xef"), (1116, b"\4\0\0\0\2\0\0\0\1\0\0\0")), 1128, 1144, 16, 0),
    (
        "erofs",
        ((1024, b"\xe2\xe1\xf5\xe0"), (1036, b"\x0c"), (1060, b"\5\0\0\0")),
        1072,
        1088,
        16,
        20480,
    ),
    ("f2fs", ((1024, b"\x10\x20\xf5\xf2\1\0\1\0"),), 1132, 1148, 512, 0),
    ("xfs", ((0, b"XFSB"),), 32, 108, 12, 0),
    ("btrfs", ((65600, b"_BHRfS_M"),), 65568, 65835, 256, 0),
)


def test_labels_and_uuids_have_their_full_length():
    for kind, parts, uuid_at, label_at, length, size in FULL:
        label = "".join([chr(ord("a") + number % 26) for number in range(length)])
        raw = b"".join([bytes([ord(letter), 0]) for letter in label])
        raw = raw if kind == "f2fs" else label.encode()
        more = ((label_at, raw), (uuid_at, bytes(16)))
        assert identify(image(*parts + more, fill=0x5A)) == (kind, "", label, size), kind
        more = ((label_at, raw), (uuid_at, UUID))
        assert identify(image(*parts + more, fill=0x5A)) == (kind, TEXT, label, size), kind
    parts = ((0, b"hsqs"), (28, b"\4\0"), (40, struct.pack("<Q", 7 << 32)))
    assert identify(image(*parts, fill=0x5A)) == ("squashfs", "", "", 7 << 32)
    head = b"\x10\x20\xf5\xf2\1\0\0\0"
    assert identify(image((1024, head), fill=0x5A)) == ("f2fs", "", "", 0)


def test_each_feature_of_ext_belongs_to_a_type():
    for bit in range(32):
        feature = 1 << bit
        kind = "jbd" if feature == 8 else "ext3" if feature in (2, 4, 16) else "ext4"
        assert ext(4, feature, 0).type == kind, feature
        assert ext(4, 0, feature).type == ("ext3" if feature in (1, 2, 4) else "ext4"), feature
        assert ext(feature, 0, 0).type == ("ext3" if feature == 4 else "ext2"), feature


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


def test_the_size_of_erofs_needs_a_valid_block_size():
    for bits in (0, 8, 9, 12, 16, 17, 255):
        parts = ((1024, b"\xe2\xe1\xf5\xe0"), (1036, bytes([bits])), (1060, b"\xff\xff\xff\xff"))
        size = 0xFFFFFFFF << bits if 9 <= bits <= 16 else 0
        assert identify(image(*parts)).size == size, bits


def test_xfs_squashfs_btrfs():
    assert identify(image((0, b"XFSB"), (32, UUID), (108, b"lab\0"))) == ("xfs", TEXT, "lab", 0)
    got = identify(image((0, b"hsqs"), (28, b"\x04\x00"), (40, struct.pack("<Q", 9))))
    assert got == ("squashfs", "", "", 9)
    got = identify(image((65600, b"_BHRfS_M"), (65568, UUID), (65835, b"b\0")))
    assert got == ("btrfs", TEXT, "b", 0)


def test_f2fs():
    label = b"o\0k\0\0\0x\0"
    head = b"\x10\x20\xf5\xf2\1\0\x0e\0"
    got = identify(image((1024, head), (1132, UUID), (1148, label)))
    assert got == ("f2fs", TEXT, "ok", 0)
    assert identify(image((1024, head[:6]), (1132, UUID))) == ("f2fs", "", "", 0)


def test_fat_and_exfat():
    head = b"\xeb\x3c\x90mkfs.fat" + struct.pack("<HBHBHHBH", 512, 1, 1, 2, 32, 64, 0xF8, 2)
    label = b"EFI BOOT   \x08" + bytes(20)
    extended = b"\x80\0\x29\x78\x56\x34\xab"
    got = identify(image((0, head), (36, extended), (510, b"\x55\xaa"), (2560, label)))
    assert got == ("vfat", "AB34-5678", "EFI BOOT", 0)
    got = identify(
        image((0, b"\xeb\x76\x90EXFAT   "), (100, b"\1\2\3\4"), (108, b"\x09"), (510, b"\x55\xaa"))
    )
    assert got == ("exfat", "0403-0201", "", 0)


def test_blanks_at_the_end_of_labels_are_removed():
    for raw, label in (
        (b"a b \t\n", "a b"),
        (b"BOX", "BOX"),
        (b"a\x1c", "a\x1c"),  # a blank for str.rstrip() of CPython alone
        (b"a\xc2\xa0", "a\xa0"),
    ):
        assert identify(image((0, b"XFSB"), (108, raw))).label == label


EXT = ((1080, b"\x53\xef"), (1128, UUID))
LVM = b"LABELONE" + bytes(16) + b"LVM2 001"
MD = b"\xfc\x4e\x2b\xa9\1\0\0\0"


def test_members_of_larger_devices_are_no_filesystem():
    assert probe(image(*EXT)) == (identify(image(*EXT)), "ext2")
    for kind, part in (
        ("crypto_LUKS", (0, b"LUKS\xba\xbe")),
        ("swap", (4086, b"SWAPSPACE2")),
        ("swap", (4086, b"SWAP-SPACE")),
        ("LVM2_member", (0, LVM)),
        ("LVM2_member", (512, LVM)),
        ("LVM2_member", (1536, LVM)),
        ("linux_raid_member", (0, MD + bytes(136) + struct.pack("<Q", 0))),
        ("linux_raid_member", (4096, MD + bytes(136) + struct.pack("<Q", 8))),
    ):
        assert identify(image(*EXT)).type == "ext2"
        assert identify(image(*(EXT + (part,)))) is None, part
        assert probe(image(*(EXT + (part,)))) == (None, kind)
    assert probe(image((1024, LVM))) == (None, "LVM2_member")
    assert probe(image()) == (None, "unknown")
    for part in (
        (512, LVM[:-1] + b"2"),
        (2048, LVM),
        (4096, MD + bytes(136) + struct.pack("<Q", 8 | 1 << 32)),
        (4096, MD + bytes(136) + struct.pack("<Q", 0)),
    ):
        assert identify(image(*(EXT + (part,)))).type == "ext2", part


def test_a_superblock_of_md_at_the_end_needs_the_size():
    size = 300 * 1024 + 512
    for at, content in (
        (196608, b"\xfc\x4e\x2b\xa9" + bytes(4)),
        (196608, b"\xa9\x2b\x4e\xfc" + bytes(4)),
        (299008, MD + bytes(136) + struct.pack("<Q", 584)),
    ):
        data = sparse((at, content), *EXT)
        assert identify(data).type == "ext2" and identify(data, size) is None
        assert probe(data, size) == (None, "linux_raid_member")
        assert identify(data, size + 65536).type == "ext2"
    data = sparse((299008, MD + bytes(136) + struct.pack("<Q", 585)), *EXT)
    assert identify(data, size).type == "ext2"  # not where it says it is


def test_a_superblock_of_md_that_the_end_of_the_device_cuts_off_is_ignored():
    size = 300 * 1024 + 512
    whole = sparse((299008, MD + bytes(136) + struct.pack("<Q", 584)), *EXT)
    for end, kind in ((299008 + 8, "ext2"), (299008 + 255, "ext2"), (299008 + 256, None)):

        def read(offset, length):
            return whole(offset, max(0, min(length, end - offset)))  # noqa: B023

        found = identify(read, size)
        assert (found.type if found else None) == kind, end


def test_other_content_is_no_filesystem():
    assert identify(image()) is None
    assert identify(image((510, b"\x55\xaa"))) is None  # an MBR
    for short in (b"", b"short", b"XFS", bytes(5000)):
        assert identify(reader(short)) is None
    assert identify(reader(b"XFSB")).type == "xfs"  # for mount(2) to refuse


def test_reads_beyond_the_end_of_the_device_are_zeros():
    assert identify(lambda offset, size: bytes(size) if offset == 0 else b"") is None


def test_hostile_superblocks_cost_little_and_raise_nothing():
    for seed in range(60):
        data = bytearray(noise(seed, 20000))
        magics = (
            (0, b"XFSB"),
            (1024, b"\xe2\xe1\xf5\xe0"),
            (1024, b"\x10\x20\xf5\xf2"),
            (0, b"hsqs"),
            (3, b"EXFAT   " + bytes(53)),
            (82, b"FAT32   "),
            (54, b"FAT16   "),
        )
        at, magic = magics[seed % 7]
        data[at : at + len(magic)] = magic
        data[510:512] = b"\x55\xaa"
        reads = []
        identify(reader(data, reads), 1 << 62)
        assert sum(reads) < 1 << 20
    data = bytearray(9000)
    for at, part in EXT:
        data[at : at + len(part)] = part
    for copy in mutations(data, 200, 2048):
        identify(reader(copy), len(copy))


def test_a_bad_block_at_the_end_hides_no_filesystem():
    good = image((1080, b"\x53\xef"))

    def read(at, size):
        if at > 1 << 20:
            raise OSError(5, "read: Input/output error")
        return good(at, size)

    assert identify(read, 1 << 30).type == "ext2"


def test_a_member_of_a_raid_at_the_end():
    size = 300 * 1024 + 512
    for more in (0, 100):
        sized = size + more

        def read(at, length, sized=sized):
            return sparse((size - 1024, b"Intel Raid ISM Cfg Sig. 1.0.00"), *EXT)(
                at, max(0, min(length, sized - at))
            )

        assert probe(read, sized) == (None, "isw_raid_member")
        assert probe(read, sized, lambda: True) == (None, "isw_raid_member")
        assert probe(read, sized, lambda: False)[1] == "ext2"
        assert probe(read)[1] == "ext2"


def test_each_kind_of_member_of_a_raid_at_the_end():
    from test_raid import DISKS

    size = 300 * 1024
    drbd = ("drbd", 4096 - 60, b"\x83\x74\x02\x6b")
    ddf = ("ddf_raid_member", 512, b"\xde\x11\xde\x11")
    other = ("ddf_raid_member", 512, b"\x11\xde\x11\xde")
    for kind, at, content in DISKS + (drbd, ddf, other):
        assert probe(sparse((size - at, content), *EXT), size) == (None, kind)
