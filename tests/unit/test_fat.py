# SPDX-License-Identifier: MIT
import struct

from support import mutations, reader

from storage_init.formats.fat import exfat, vfat

DELETED = b"\xe5OLDLABEL  \x08" + bytes(20)
LONG_NAME = b"Ab\0c\0d\0e\0f\0\x0f" + bytes(20)
FILE = b"BOOT    IMG\x20" + bytes(14) + b"\x05\0" + bytes(4)
# With times and dates, and without a first cluster.
LABEL = b"EFI BOOT   \x08" + b"\x5a" * 8 + b"\0\0" + b"\x5a" * 4 + b"\0\0" + b"\x5a" * 4
FILL = 0x5A  # in all fields of a boot sector that are not to be read


def put(data, at, content):
    data[at : at + len(content)] = content


def boot_sector(size):
    data = bytearray(bytes([FILL]) * 512 + bytes(size - 512))
    put(data, 510, b"\x55\xaa")
    return data


def fat16(*records, sector=512, entries=32, sectors=64, total=0):
    """Return a FAT16: 1 reserved sector, 2 FATs of 2 sectors, the root directory with records."""
    content = b"".join(records)
    data = boot_sector(5 * sector + max(1024, len(content)))
    fields = (sector, 1, 1, 2, entries, sectors, 0xF8, 2)
    put(data, 0, b"\xeb\x3c\x90mkfs.fat" + struct.pack("<HBHBHHBH", *fields))
    put(data, 32, struct.pack("<I", total))
    put(data, 36, b"\x80\0\x29\x78\x56\x34\xabBOOT SECTOR")
    put(data, 5 * sector, content)
    return data


def fat32(clusters, records, root=2, sectors=64, total=0):
    """Return a FAT32: 2 reserved sectors, a FAT of 2 sectors, clusters of one sector.

    clusters: the entries of the FAT. records: (cluster, content).
    """
    data = boot_sector(max(sectors, 64) * 512)
    fields = (512, 1, 2, 1, 0, sectors, 0xF8, 0)
    put(data, 0, b"\xeb\x58\x90mkfs.fat" + struct.pack("<HBHBHHBH", *fields))
    put(data, 32, struct.pack("<I", total))
    put(data, 36, struct.pack("<I", 2))
    put(data, 44, struct.pack("<I", root))
    put(data, 64, b"\x80\0\x29\x78\x56\x34\xabBOOT SECTOR")
    put(data, 1024, struct.pack("<" + "I" * len(clusters), *clusters))
    for cluster, content in records:
        put(data, 2048 + (cluster - 2) * 512, content)
    return data


def exfat_of(clusters, records, root=2, count=60, shifts=(9, 0)):
    """Return an exFAT: the FAT in sector 2, clusters of one sector from sector 4 on."""
    data = boot_sector(64 * 512)
    put(data, 0, b"\xeb\x76\x90EXFAT   " + bytes(53))
    put(data, 80, struct.pack("<IIIII", 2, 2, 4, count, root))
    put(data, 100, b"\x78\x56\x34\xab\0\1\0\0" + bytes(shifts))
    put(data, 1024, struct.pack("<" + "I" * len(clusters), *clusters))
    for cluster, content in records:
        put(data, 2048 + (cluster - 2) * 512, content)
    return data


def names(probe, data):
    return probe(bytes(data[:512]), reader(data))


def test_the_label_is_that_of_the_root_directory():
    assert names(vfat, fat16(FILE, LABEL)) == ("AB34-5678", "EFI BOOT   ")
    assert names(vfat, fat16(DELETED, LONG_NAME, FILE, LABEL))[1] == "EFI BOOT   "
    assert names(vfat, fat16(FILE, bytes(32), LABEL))[1] == ""
    assert names(vfat, fat16(*[FILE] * 32 + [LABEL]))[1] == ""


def test_a_directory_or_a_file_with_contents_is_no_label():
    for attr in range(256):
        label = attr & 0x18 == 8 and attr & 0x3F != 0x0F
        found = names(vfat, fat16(LABEL[:11] + bytes([attr]) + LABEL[12:]))[1]
        assert found == ("EFI BOOT   " if label else ""), attr
    for at in (20, 21, 26, 27):  # its first cluster
        assert names(vfat, fat16(LABEL[:at] + b"\1" + LABEL[at + 1 :]))[1] == "", at
    assert names(vfat, fat16(b"\xe5" + LABEL[1:]))[1] == ""


def test_a_label_that_begins_with_0xe5():
    assert names(vfat, fat16(b"\x05\0ABC      \x08" + bytes(20)))[1] == "?"


def test_fat32_follows_the_chain_of_the_root_directory():
    data = fat32((0, 0, 5, 0, 0, 0x0FFFFFFF), ((2, FILE * 16), (5, FILE + LABEL)))
    assert names(vfat, data) == ("AB34-5678", "EFI BOOT   ")


def test_invalid_chains_end():
    assert names(vfat, fat32((0, 0, 2), ((2, FILE * 16),)))[1] == ""
    assert names(vfat, fat32((0, 0, 0x0FFFFFF0), ((2, FILE * 16),)))[1] == ""
    for root in (0, 1, 256, 0xFFFFFFFF):
        assert names(vfat, fat32((), (), root))[1] == ""
        assert names(exfat, exfat_of((), (), root)) == ("AB34-5678", "")
    assert names(exfat, exfat_of((0, 0, 2), ((2, FILE * 16),)))[1] == ""


def test_serial_numbers():
    data = fat16(LABEL)
    data[38] = 0  # no extended boot record
    assert names(vfat, data)[0] == ""
    for signature in range(256):
        data[38] = signature
        assert names(vfat, data)[0] == ("AB34-5678" if signature in (0x28, 0x29) else "")
    data[38] = 0x28
    put(data, 39, bytes(4))
    assert names(vfat, data)[0] == ""


def test_a_name_in_the_boot_sector_is_enough():
    for at, name in (
        (54, b"FAT12   "),
        (54, b"FAT16   "),
        (54, b"FAT     "),
        (54, b"MSDOS"),
        (82, b"FAT32   "),
        (82, b"MSWIN"),
    ):
        data = fat16()
        put(data, 510, b"\0\0")
        assert names(vfat, data) is None
        put(data, at, name)
        assert names(vfat, data) == ("AB34-5678", ""), name
    data = fat16()
    data[0] = 0xE9
    assert names(vfat, data) == ("AB34-5678", "")


def test_sizes_of_sectors():
    for sector in (256, 512, 1024, 2048, 4096, 8192):
        found = names(vfat, fat16(LABEL, sector=sector))
        assert found == (("AB34-5678", "EFI BOOT   ") if 512 <= sector <= 4096 else None), sector


def test_valid_media():
    for media in range(256):
        data = fat16()
        data[21] = media
        assert (names(vfat, data) is not None) == (media == 0xF0 or media >= 0xF8), media


def test_the_number_of_clusters_has_a_limit():
    for clusters, is_fat in ((59, True), (0xFFF4, True), (0xFFF5, False)):
        data = fat16(LABEL, sectors=0, total=1 + 2 * 2 + 2 + clusters)
        assert names(vfat, data) == (("AB34-5678", "EFI BOOT   ") if is_fat else None), clusters
    for sectors, is_fat in ((6, False), (7, True), (8, True)):  # the root directory ends at 7
        assert (names(vfat, fat16(LABEL, sectors=sectors)) is not None) == is_fat, sectors
    for more, is_fat in ((1, True), (2, False)):
        data = fat16(LABEL, sectors=0, total=1 + 2 * 2 + 2 + 2 * 0xFFF4 + more)
        data[13] = 2  # sectors of a cluster
        assert (names(vfat, data) is not None) == is_fat, more
    for clusters, is_fat in ((60, True), (0x0FFFFFF6, True), (0x0FFFFFF7, False)):
        data = fat32((0, 0, 0), ((2, LABEL),), sectors=0, total=2 + 2 + clusters)
        assert names(vfat, data) == (("AB34-5678", "EFI BOOT   ") if is_fat else None), clusters


def test_the_label_is_among_the_first_entries():
    head = bytes(fat16(entries=4100, sectors=600)[: 5 * 512])
    for entries, label in ((4095, "EFI BOOT   "), (4096, "")):

        def read(offset, size):
            first = (offset - len(head)) // 32
            numbers = range(first, first + size // 32)
            return b"".join([LABEL if number == entries else FILE for number in numbers])  # noqa: B023

        assert vfat(head, read)[1] == label
    for clusters, label in ((99, "EFI BOOT   "), (100, "")):
        table = list(range(1, clusters + 3))
        records = [(cluster, FILE * 16) for cluster in range(2, clusters + 2)]
        data = fat32(table, records + [(clusters + 2, LABEL)], sectors=110)
        assert names(vfat, data)[1] == label


def test_a_root_directory_is_read_in_parts_of_4096_bytes():
    reads = []
    data = fat16(FILE * 400, LABEL, entries=500, sectors=600)
    assert vfat(bytes(data[:512]), reader(data, reads))[1] == "EFI BOOT   "
    assert max(reads) == 4096


def test_a_record_that_the_end_of_the_device_cuts_off_is_ignored():
    for size, label in ((31, ""), (32, "EFI BOOT   ")):
        assert names(vfat, fat16(LABEL)[: 5 * 512 + size])[1] == label


def test_other_boot_sectors_are_no_fat():
    for at, content in (
        (0, b"\xfa"),
        (510, b"\0"),
        (11, b"\1\2"),
        (13, b"\3"),
        (14, b"\0\0"),
        (16, b"\0"),
        (19, b"\4\0"),  # fewer sectors than its FATs have
        (21, b"\x11"),
    ):
        data = fat16()
        put(data, at, content)
        assert names(vfat, data) is None, at


def test_exfat_sizes_of_sectors_and_clusters():
    for shift in range(6, 16):
        found = names(exfat, exfat_of((), (), shifts=(shift, 1)))
        assert (found is not None) == (9 <= shift <= 12), shift
    assert names(exfat, exfat_of((), (), shifts=(9, 16))) == ("AB34-5678", "")
    assert names(exfat, exfat_of((), (), shifts=(9, 17))) is None


def test_exfat_clusters_are_numbered_from_two():
    label = b"\x83\x0co\0k\0" + b"x\0" * 10
    for root, expected in ((2, "okxxxxxxxxx"), (4, "okxxxxxxxxx"), (5, "")):
        data = exfat_of((), ((root, label[:24] + b"y\0" * 4),), root, count=3)
        assert names(exfat, data)[1] == expected, root


def test_serial_number_and_label_of_exfat():
    label = b"\x83\x02o\0k\0no" + bytes(24)
    assert names(exfat, exfat_of((), ((2, label),))) == ("AB34-5678", "ok")
    assert names(exfat, exfat_of((0, 0, 3), ((2, FILE * 16), (3, label))))[1] == "ok"
    for at, content in ((3, b"e"), (11, b"\1"), (108, b"\x08"), (109, b"\xff"), (510, b"\0")):
        data = exfat_of((), ())
        put(data, at, content)
        assert names(exfat, data) is None, at


def test_hostile_filesystems_cost_little_and_raise_nothing():
    for data in (
        fat16(LABEL),
        fat32((0, 0, 5, 0, 0, 2), ((2, FILE * 16), (5, FILE * 16))),
        exfat_of((0, 0, 5, 0, 0, 2), ((2, FILE * 16), (5, FILE * 16))),
    ):
        for copy in mutations(data, 150, 128):
            reads = []
            for probe in (vfat, exfat):
                probe(copy[:512], reader(copy, reads))
            assert sum(reads) < 1 << 20
