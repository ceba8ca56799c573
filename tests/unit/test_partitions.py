# SPDX-License-Identifier: MIT
import struct

from support import mutations, noise, raises, reader

from storage_init.formats.partitions import crc32, parse

DISK = 1 << 17
SMALL = 1 << 14  # bytes of a disk with an MBR
TYPE = bytes(range(16))
UUID = bytes(range(0x11, 0x21))
TEXT = "14131211-1615-1817-191a-1b1c1d1e1f20"


def utf16(text):
    return b"".join([struct.pack("<H", ord(character)) for character in text])


def put(data, at, content):
    data[at : at + len(content)] = content


def mbr_entry(kind, start, sectors, flag=0):
    return struct.pack("<B3xB3xII", flag, kind, start, sectors)


def mbr(entries, identity=0xDEADBEEF):
    block = bytearray(512)
    put(block, 440, struct.pack("<I", identity))
    for slot, entry in enumerate(entries):
        put(block, 446 + 16 * slot, mbr_entry(*entry))
    put(block, 510, b"\x55\xaa")
    return bytes(block)


def header(block, table, entries, count, size=128, length=92, more=0):
    """Return the header of a GPT, with garbage in the reserved fields.

    more: bytes of zeros, multiples of 4096, that follow the entries in their table.
    """
    checksum = crc32(entries)
    for _ in range(0, more, 4096):
        checksum = crc32(bytes(4096), checksum)
    head = struct.pack("<8sIIII", b"EFI PART", 0x10000, length, 0, 0x5A5A5A5A)
    head += struct.pack("<QQQQ", block, 1, 34, 100) + UUID
    head += struct.pack("<QIII", table, count, size, checksum)
    head += b"\x5a" * max(4, length - len(head))
    return head[:16] + struct.pack("<I", crc32(head[:length])) + head[20:]


def gpt(sector=512, names=((1, "boot"), (3, "a label"), (128, "")), count=128):
    """Return a disk with a GPT and its backup. names: (number, label) of each partition."""
    entries = bytearray(128 * count)
    for number, name in names:
        entry = TYPE + UUID[:15] + bytes([number & 0xFF]) + struct.pack("<QQQ", 40, 50, 0)
        put(entries, 128 * (number - 1), entry + utf16(name))
    data = bytearray(DISK)
    put(data, 0, mbr([(0xEE, 1, 0xFFFFFFFF)], 0))
    last = DISK // sector - 1
    backup = last - (len(entries) + sector - 1) // sector
    put(data, sector, header(1, 2, entries, count))
    put(data, 2 * sector, entries)
    put(data, last * sector, header(last, backup, entries, count))
    put(data, backup * sector, entries)
    return data


def parsed(data, sector=512, size=None):
    return [tuple(p)[:3] for p in parse(reader(data), len(data) if size is None else size, sector)]


FOUND = [
    (1, TEXT[:-2] + "01", "boot"),
    (3, TEXT[:-2] + "03", "a label"),
    (128, TEXT[:-2] + "80", ""),
]


def test_crc32_of_known_data():
    assert crc32(b"123456789") == 0xCBF43926 and crc32(b"") == 0
    assert crc32(b"6789", crc32(b"12345")) == 0xCBF43926


def test_gpt_with_both_sizes_of_sectors():
    assert parsed(gpt()) == FOUND
    assert parsed(gpt(4096), 4096) == FOUND
    assert parsed(gpt(4096)) == [] and parsed(gpt(), 4096) == [] and parsed(gpt(), 0) == []


def test_gpt_types_and_attributes():
    kinds = ((TYPE, 0), (bytes(range(1, 17)), 1 << 63 | 1 << 60), (b"\xff" * 16, (1 << 64) - 1))
    data = gpt(names=((1, "x"), (2, "x"), (3, "x")))
    for number, (kind, attributes) in enumerate(kinds):
        put(data, 1024 + 128 * number, kind)
        put(data, 1024 + 128 * number + 48, struct.pack("<Q", attributes))
    put(data, 512, header(1, 2, bytes(data[1024 : 1024 + 128 * 128]), 128))
    assert [tuple(p)[3:] for p in parse(reader(data), len(data), 512)] == [
        ("03020100-0504-0706-0809-0a0b0c0d0e0f", 0),
        ("04030201-0605-0807-090a-0b0c0d0e0f10", 1 << 63 | 1 << 60),
        ("ffffffff-ffff-ffff-ffff-ffffffffffff", (1 << 64) - 1),
    ]
    data = bytearray(DISK)
    put(data, 0, mbr([(0x83, 1, 5)]))
    assert [tuple(p)[3:] for p in parse(reader(data), DISK, 512)] == [("", 0)]


def test_gpt_labels():
    got = [p[2] for p in parsed(gpt(names=((1, "Gr\xf6\xdfe"), (2, "x" * 36))))]
    assert got == ["Gr\xf6\xdfe", "x" * 36]


def test_the_backup_replaces_a_damaged_gpt():
    for at in (512, 512 + 16, 512 + 72, 1024 + 56, 1024 + 128 * 127):
        data = gpt()
        data[at] ^= 1
        assert parsed(data) == FOUND, at
        put(data, DISK - 512, b"NO PART ")
        assert parsed(data) == [], at


def test_a_gpt_needs_the_protective_mbr():
    data = gpt()
    put(data, 0, mbr([(0x83, 1, 5)]))
    assert parsed(data) == [(1, "deadbeef-01", "")]
    put(data, 510, b"\0")
    assert parsed(data) == []


def test_invalid_numbers_in_a_gpt_are_refused_despite_valid_checksums():
    entries = bytes(128 * 128)
    for block, table, count, size in (
        (2, 2, 128, 128),  # a copy in a place that is not its own
        (1 + (1 << 32), 2, 128, 128),
        (1, 2, 128, 1 << 31),
        (1, 2, 0xFFFFFFFF, 128),
        (1, 2, 1025, 128),
        (1, 1 << 63, 128, 128),
        (1, DISK // 512 - 2, 128, 128),
    ):
        data = bytearray(DISK)
        put(data, 0, mbr([(0xEE, 1, 9)]))
        put(data, 512, header(block, table, entries, count, size))
        reads = []
        assert parse(reader(data, reads), DISK, 512) == []
        assert sum(reads) <= 2048


def test_an_entry_is_unused_if_its_type_is_zero():
    for kind, found in ((bytes(16), []), (bytes(15) + b"\1", [1])):
        data = gpt(names=((1, "x"),))
        put(data, 1024, kind)
        put(data, 512, header(1, 2, bytes(data[1024 : 1024 + 128 * 128]), 128))
        assert [p.number for p in parse(reader(data), DISK, 512)] == found


def test_a_gpt_has_up_to_1024_entries():
    for count, found in ((1024, [1]), (1025, [])):
        more = 31 * 4096
        entries = TYPE + bytes(128 * count - more - 16)
        data = mbr([(0xEE, 1, 9)]) + header(1, 2, entries, count, more=more)
        data += bytes(1024 - len(data)) + entries

        def read(offset, size):
            part = data[offset : offset + size]  # noqa: B023
            return part + bytes(size - len(part))

        assert [p.number for p in parse(read, 2 * DISK, 512)] == found


def test_the_header_of_a_gpt_has_92_bytes_up_to_a_block():
    entries = TYPE + bytes(128 * 4 - 16)
    for length, found in ((91, []), (92, [1]), (96, [1]), (512, [1]), (513, [])):
        data = bytearray(DISK)
        put(data, 0, mbr([(0xEE, 1, 9)]))
        put(data, 512, header(1, 2, entries, 4, length=length)[:512])
        put(data, 1024, entries)
        assert [p.number for p in parse(reader(data), DISK, 512)] == found, length


def test_the_table_of_a_gpt_may_end_where_the_disk_ends():
    entries = TYPE + bytes(128 * 4 - 16)
    data = bytearray(DISK)
    put(data, 0, mbr([(0xEE, 1, 9)]))
    put(data, 512, header(1, DISK // 512 - 1, entries, 4))
    put(data, DISK - 512, entries)
    for size, found in ((DISK, [1]), (DISK - 1, [])):
        assert [p.number for p in parse(reader(data), size, 512)] == found, size


def test_a_header_in_the_first_block_is_ignored():
    entries = TYPE + bytes(128 * 4 - 16)
    data = bytearray(4096 + 512)  # no second block of 4096 bytes, so that the last block is block 0
    put(data, 0, mbr([(0xEE, 1, 9)]))
    put(data, 0, header(0, 1, entries, 4))
    put(data, 4096, entries)
    assert parsed(data, 4096) == []


def test_a_disk_has_up_to_255_partitions():
    names = [(number, "") for number in range(1, 257)]
    assert [p[0] for p in parsed(gpt(names=names, count=256))] == list(range(1, 256))


def test_a_disk_that_ends_early_has_no_partitions():
    for size in (0, 511, 512, 520, 1023, 1024, 1100, 4096):
        assert parsed(gpt()[:size]) == [] and parsed(gpt(4096)[:size], 4096) == []
    assert parsed(gpt()[:1024], size=DISK) == []


def test_mbr():
    data = bytearray(SMALL)
    put(data, 0, mbr([(0x83, 8, 8, 0x80), (0, 0, 0), (0x83, 16, 8)]))
    assert parsed(data) == [(1, "deadbeef-01", ""), (3, "deadbeef-03", "")]
    put(data, 440, bytes(4))
    assert parsed(data) == [(1, "", ""), (3, "", "")]
    for slot in range(4):
        wrong = bytearray(data)
        wrong[446 + 16 * slot] = 0x41  # not a flag: the boot code of a filesystem
        assert parsed(wrong) == []
    full = mbr([(0x83, 1, 1), (0x83, 2, 1), (0x83, 3, 0xFF000001), (0x83, 4, 1)])
    assert [p[0] for p in parsed(full)] == [1, 2, 3, 4]  # a disk of one sector


def logicals(sector=512):
    data = bytearray(DISK)
    put(data, 0, mbr([(0x83, 1, 1), (0x0F, 3, 25)]))
    put(data, 3 * sector, mbr([(0x83, 1, 2), (0x05, 6, 5)], 0))
    put(data, 9 * sector, mbr([(0x83, 1, 1), (0x05, 12, 6), (0x83, 3, 2), (0x83, 4, 2)], 0))
    put(data, 15 * sector, mbr([(0x83, 1, 2)], 0))
    return data


def test_logical_partitions():
    for sector in (512, 4096):
        # 7: a third entry in a link counts as long as it lies inside
        assert [p[0] for p in parsed(logicals(sector), sector)] == [1, 2, 5, 6, 7, 8]
    assert parsed(logicals())[-1] == (8, "deadbeef-08", "")


def test_types_of_extended_partitions():
    for kind in range(256):
        data = bytearray(SMALL)
        put(data, 0, mbr([(0x83, 1, 1), (kind, 3, 25)]))
        put(data, 3 * 512, mbr([(0x83, 1, 2)], 0))
        numbers = [1, 2, 5] if kind in (0x05, 0x0F, 0x85) else [] if kind == 0xEE else [1, 2]
        assert [p[0] for p in parsed(data)] == numbers, kind


def test_the_last_two_entries_of_a_link_count_if_they_are_inside():
    for slot in range(4):
        for start, inside in ((9, True), (10, False)):
            entries = [(0, 0, 0)] * 4
            entries[slot] = (0x83, start, 1)
            data = bytearray(SMALL)
            put(data, 0, mbr([(0x05, 3, 10)]))
            put(data, 3 * 512, mbr(entries, 0))
            numbers = [1, 5] if inside or slot < 2 else [1]
            assert [p[0] for p in parsed(data)] == numbers, (slot, start)


def test_the_last_two_entries_of_a_link_must_end_in_the_extended_partition():
    for sectors, numbers in ((4, [1, 5]), (5, [1])):
        data = bytearray(SMALL)
        put(data, 0, mbr([(0x05, 3, 10)]))
        put(data, 3 * 512, mbr([(0, 0, 0), (0x05, 5, 20)], 0))
        put(data, 8 * 512, mbr([(0, 0, 0), (0, 0, 0), (0x83, 1, sectors)], 0))
        assert [p[0] for p in parsed(data)] == numbers


def test_a_chain_that_leads_back_into_itself_ends():
    data = bytearray(DISK)
    put(data, 0, mbr([(0x05, 10, 60), (0x05, 10, 60), (0x85, 10, 60), (0x0F, 10, 60)]))
    put(data, 5120, mbr([(0x83, 1, 2), (0x05, 0, 20)]))
    reads = []
    got = parse(reader(data, reads), DISK, 512)
    assert [p.number for p in got] == list(range(1, 5)) + list(range(5, 256))
    put(data, 5120, mbr([(0, 0, 0), (0x05, 0, 20)]))  # nor with links that hold nothing
    assert [p.number for p in parse(reader(data, reads), DISK, 512)] == [1, 2, 3, 4]
    assert len(reads) < 2000


def test_hostile_tables_raise_nothing():
    for data in (gpt()[:17408], gpt(4096)[:24576], logicals()[:8192]):
        for sector in (512, 4096):
            for copy in mutations(data, 40, 1024 if sector == 512 else len(data)):
                assert len(parse(reader(copy), DISK, sector)) <= 255
    for seed in range(20):
        data = bytearray(noise(seed, 8192))
        put(data, 510, b"\x55\xaa")
        for slot in range(4):
            data[446 + 16 * slot] &= 0x80
        assert len(parse(reader(data), 1 << 62, 512)) <= 255


def test_errors_of_read_are_raised():
    def read(offset, size):
        raise OSError(5, "read")

    assert raises(OSError, parse, read, DISK, 512).errno == 5
