# SPDX-License-Identifier: MIT
import struct

from support import mutations, reader

from storage_init.formats.fat import exfat, vfat

DELETED = b"\xe5OLDLABEL  \x08" + bytes(20)
LONG_NAME = b"Ab\0c\0d\0e\0f\0\x0f" + bytes(20)
FILE = b"BOOT    IMG\x20" + bytes(14) + b"\x05\0" + bytes(4)
LABEL = b"EFI BOOT   \x08" + bytes(20)


def put(data, at, content):
    data[at : at + len(content)] = content


def fat16(*records):
    """1 reserved sector, 2 FATs of 2 sectors, a root directory of 32 entries, then clusters."""
    data = bytearray(64 * 512)
    put(data, 0, b"\xeb\x3c\x90mkfs.fat" + struct.pack("<HBHBHHBH", 512, 1, 1, 2, 32, 64, 0xF8, 2))
    put(data, 36, b"\x80\0\x29\x78\x56\x34\xabBOOT SECTOR")
    put(data, 510, b"\x55\xaa")
    put(data, 5 * 512, b"".join(records))
    return data


def fat32(clusters, records, root=2):
    """2 reserved sectors, a FAT of 2 sectors, then clusters of a sector; clusters: the FAT."""
    data = bytearray(64 * 512)
    put(data, 0, b"\xeb\x58\x90mkfs.fat" + struct.pack("<HBHBHHBH", 512, 1, 2, 1, 0, 64, 0xF8, 0))
    put(data, 36, struct.pack("<III", 2, 0, root))
    put(data, 64, b"\x80\0\x29\x78\x56\x34\xabBOOT SECTOR")
    put(data, 510, b"\x55\xaa")
    put(data, 1024, struct.pack("<" + "I" * len(clusters), *clusters))
    for cluster, content in records:
        put(data, 2048 + (cluster - 2) * 512, content)
    return data


def exfat_of(clusters, records, root=2):
    """The FAT in sector 2, clusters of a sector from sector 4 on."""
    data = bytearray(64 * 512)
    put(data, 0, b"\xeb\x76\x90EXFAT   ")
    put(data, 80, struct.pack("<IIIII", 2, 2, 4, 60, root))
    put(data, 100, b"\x78\x56\x34\xab\0\1\0\0\x09\0")
    put(data, 510, b"\x55\xaa")
    put(data, 1024, struct.pack("<" + "I" * len(clusters), *clusters))
    for cluster, content in records:
        put(data, 2048 + (cluster - 2) * 512, content)
    return data


def names(probe, data):
    return probe(bytes(data[:512]), reader(data))


def test_the_label_is_the_root_directorys():
    assert names(vfat, fat16(FILE, LABEL)) == ("AB34-5678", "EFI BOOT   ")
    assert names(vfat, fat16(DELETED, LONG_NAME, FILE, LABEL))[1] == "EFI BOOT   "
    assert names(vfat, fat16(FILE, bytes(32), LABEL))[1] == ""
    assert names(vfat, fat16(*[FILE] * 32 + [LABEL]))[1] == ""


def test_a_directory_or_a_file_with_contents_is_no_label():
    assert names(vfat, fat16(LABEL[:11] + b"\x18" + bytes(20)))[1] == ""
    assert names(vfat, fat16(LABEL[:26] + b"\1" + bytes(5)))[1] == ""


def test_a_label_with_the_byte_of_deleted_entries():
    assert names(vfat, fat16(b"\x05\0ABC      \x08" + bytes(20)))[1] == "?"


def test_fat32_follows_the_chain_of_the_root_directory():
    data = fat32((0, 0, 5, 0, 0, 0x0FFFFFFF), ((2, FILE * 16), (5, FILE + LABEL)))
    assert names(vfat, data) == ("AB34-5678", "EFI BOOT   ")


def test_chains_that_lead_astray_end():
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
    data[38] = 0x28
    put(data, 39, bytes(4))
    assert names(vfat, data)[0] == ""


def test_what_is_no_fat():
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
    data = fat16()
    put(data, 54, b"FAT16   ")
    put(data, 510, b"\0\0")  # this name is enough
    assert names(vfat, data) == ("AB34-5678", "")


def test_exfat():
    label = b"\x83\x02o\0k\0no" + bytes(24)
    assert names(exfat, exfat_of((), ((2, label),))) == ("AB34-5678", "ok")
    assert names(exfat, exfat_of((0, 0, 3), ((2, FILE * 16), (3, label))))[1] == "ok"
    for at, content in ((3, b"e"), (11, b"\1"), (108, b"\x08"), (109, b"\xff"), (510, b"\0")):
        data = exfat_of((), ())
        put(data, at, content)
        assert names(exfat, data) is None, at


def test_hostile_ones_end_soon_and_without_an_exception():
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
