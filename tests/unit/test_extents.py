# SPDX-License-Identifier: MIT
import struct

import test_btrfs as chunk_tree
from support import make, noise, raises

from storage_init.boot import extents
from storage_init.kernel.failure import BootFailure

DISK = "/dev/vda"
BLOCK = 4096
DATA = noise(1, 5 * BLOCK)


class File:
    """The open file /f, and the disk that has its bytes at the physical offsets of its extents.

    entries: (logical, physical, length, flags), as of FIEMAP.
    """

    def __init__(self, entries, data=DATA, places=None):
        self.fake, self.kernel, _, _ = make({"/f": data})
        self.size = len(data)
        self.fake.extents["/f"] = list(entries)
        end = max([0] + [entry[1] + entry[2] for entry in places or entries])
        self.disk = bytearray(b"\xa5" * end)
        for logical, physical, length, _ in places or entries:
            content = data[logical : logical + length]
            self.disk[physical : physical + len(content)] = content
        self.fd = self.kernel.open("/f")

    def damage(self, at):
        """Change a byte of the disk."""
        self.disk[at] ^= 1
        return self

    def pieces(self, whole=False, fstype="ext4"):
        self.fake.add(DISK, bytes(self.disk))
        try:
            return extents.pieces(self.kernel, self.fd, "/f", self.size, fstype, DISK, whole)
        finally:
            assert self.fake.open_fds() == ["/f"] and self.fake.calls == []

    def refused(self, whole=False, fstype="ext4"):
        """Return why the file cannot be read from the device."""
        return str(raises(BootFailure, self.pieces, whole, fstype))


def test_a_file_in_one_piece():
    assert File([(0, 8192, 5 * BLOCK, 1)]).pieces() == [(8192, 5 * BLOCK)]


def test_neighbours_are_joined():
    entries = [(0, 8192, BLOCK, 0), (BLOCK, 12288, BLOCK, 0), (2 * BLOCK, 40960, 3 * BLOCK, 1)]
    assert File(entries).pieces(True) == [(8192, 2 * BLOCK), (40960, 3 * BLOCK)]


def test_neighbours_in_another_order_are_not_joined():
    entries = [(0, 12288, BLOCK, 0), (BLOCK, 8192, BLOCK, 0), (2 * BLOCK, 16384, 3 * BLOCK, 1)]
    places = [(12288, BLOCK), (8192, BLOCK), (16384, 3 * BLOCK)]
    assert File(entries).pieces(True) == places


def test_a_file_with_holes_is_refused():
    for entries in (
        [(BLOCK, 8192, 4 * BLOCK, 1)],
        [(0, 8192, BLOCK, 0), (2 * BLOCK, 40960, 3 * BLOCK, 1)],
        [(0, 8192, 4 * BLOCK, 1)],
        [(0, 8192, 5 * BLOCK - 512, 1)],
    ):
        for whole in (False, True):
            assert File(entries).refused(whole) == "/f has holes"


def test_overlapping_extents_are_refused():
    entries = [(0, 8192, 2 * BLOCK, 0), (BLOCK, 40960, 4 * BLOCK, 1)]
    assert File(entries).refused() == "/f has holes"


def test_a_file_without_extents_is_refused():
    assert File([]).refused() == "/f is in 0 pieces"
    assert File([], b"").refused() == "/f is in 0 pieces"


def test_flags_of_extents():
    """LAST, MERGED and SHARED change no place; each other flag of FIEMAP is refused."""
    for bit in range(16):
        flag = 1 << bit
        for entries in (
            [(0, 8192, 5 * BLOCK, flag)],
            [(0, 8192, BLOCK, 0), (BLOCK, 40960, 4 * BLOCK, flag | 1)],
        ):
            if flag in (0x1, 0x1000, 0x2000):
                assert len(File(entries).pieces()) == len(entries)
            else:
                text = "/f has extents with flags {:#x}".format(entries[-1][3])
                assert File(entries).refused() == text


def test_pieces_must_consist_of_sectors():
    for entries in (
        [(0, 8192 + 256, 5 * BLOCK, 1)],
        [(0, 8192, 5 * BLOCK + 1, 1)],
        [(0, 8192, BLOCK - 256, 0), (BLOCK - 256, 40960, 5 * BLOCK, 1)],
        [(0, 8192, BLOCK, 0), (BLOCK, 40961, 4 * BLOCK, 1)],
    ):
        assert File(entries).refused() == "/f is not aligned to sectors"
    assert File([(0, 512, 5 * BLOCK + 512, 1)]).pieces() == [(512, 5 * BLOCK + 512)]


def test_at_most_128_pieces():
    data = noise(2, 129 * 512)
    entries = [(n * 512, n * 1024, 512, 0) for n in range(129)]
    assert len(File(entries[:128], data[: 128 * 512]).pieces(True)) == 128
    assert File(entries, data).refused() == "/f is in 129 pieces"
    # Extents that are neighbours on the device are one piece.
    entries = [(n * 512, n * 512, 512, 0) for n in range(129)]
    assert File(entries, data).pieces(True) == [(0, 129 * 512)]


def test_a_filesystem_without_fiemap_is_asked_by_block():
    entries = [(0, 8192, 5 * BLOCK, 0)]
    for fstype in ("vfat", "ext4"):
        file = File(entries)
        file.fake.failures["sc_fiemap"] = 95
        assert file.pieces(fstype=fstype) == [(8192, 5 * BLOCK)]
        file = File([(BLOCK, 8192, 4 * BLOCK, 0)])
        file.fake.failures["sc_fiemap"] = 95
        assert file.refused() == "/f has holes"
        file = File(entries)
        file.fake.failures.update({"sc_fiemap": 95, "sc_fibmap": 22})
        error = raises(OSError, file.pieces)
        assert error.errno == 22 and error.args[1] == "read the extents of /f: errno 22"


def test_other_errors_of_fiemap_are_raised():
    for errno in (5, 22, 25):
        file = File([(0, 8192, 5 * BLOCK, 0)])
        file.fake.failures["sc_fiemap"] = errno
        assert raises(OSError, file.pieces).errno == errno


def test_a_file_on_the_realtime_device_of_xfs_is_refused():
    entries = [(0, 8192, 5 * BLOCK, 1)]
    for xflags, fstype, refused in (
        (0, "xfs", False),
        (0x1, "xfs", True),
        (0x80000001, "xfs", True),
        (0x80000002, "xfs", False),
        (0x1, "ext4", False),
    ):
        file = File(entries)
        file.fake.xflags = xflags
        if refused:
            assert file.refused(fstype=fstype) == "/f is on the realtime device"
        else:
            assert file.pieces(fstype=fstype) == [(8192, 5 * BLOCK)]
    file = File(entries)
    file.fake.failures["sc_xflags"] = 25
    assert raises(OSError, file.pieces, False, "xfs").errno == 25
    assert file.pieces() == [(8192, 5 * BLOCK)]


TWO = ((0, 8192, 2 * BLOCK, 0), (2 * BLOCK, 40960, 3 * BLOCK, 1))


def test_other_bytes_at_the_start_or_the_end_are_found():
    text = "the bytes of /f at {} are not on /dev/vda"
    for size, at, start in (
        (5 * BLOCK, 8192, 0),
        (5 * BLOCK, 8192 + 2047, 0),
        (5 * BLOCK, 40960 + 3 * BLOCK - 512, 5 * BLOCK - 512),
        (5 * BLOCK, 40960 + 3 * BLOCK - 1, 5 * BLOCK - 512),
        (3 * BLOCK + 700, 40960 + BLOCK + 699, 3 * BLOCK + 188),
    ):
        assert File(TWO, DATA[:size]).damage(at).refused() == text.format(start), at


def test_a_short_file_is_compared_to_its_end():
    for size, start in ((1, 0), (700, 0), (2048, 0), (2049, 2049 - 512)):
        entries = [(0, 8192, BLOCK, 1)]
        assert File(entries, DATA[:size]).pieces() == [(8192, BLOCK)]
        text = "the bytes of /f at {} are not on /dev/vda".format(start)
        assert File(entries, DATA[:size]).damage(8192 + size - 1).refused() == text


def test_only_a_comparison_of_the_whole_file_finds_other_bytes_in_its_middle():
    for at in (8192 + BLOCK, 8192 + 2 * BLOCK - 1, 40960, 40960 + 2 * BLOCK - 1):
        assert len(File(TWO).damage(at).pieces(False)) == 2
        assert "are not on /dev/vda" in File(TWO).damage(at).refused(True), at
    assert len(File(TWO).pieces(True)) == 2


def test_a_whole_comparison_reads_every_byte_once():
    size = (1 << 18) + 5000
    sectors = (size + 511) // 512 * 512
    for damaged in (None, 0, 4096, (1 << 18) - 1, 1 << 18, size - 1):
        fake, kernel, _, _ = make({"/f": b"", DISK: b""})
        fake.extents["/f"] = [(0, 512, sectors, 1)]
        reads = {"/f": [], DISK: []}

        def pread(fd, buffer, part, at, fake=fake, reads=reads, damaged=damaged):
            path = fake._fds[fd][0]
            at -= 512 if path == DISK else 0
            reads[path].append((at, part))
            if path == DISK and damaged is not None and at <= damaged < at + part:
                buffer[damaged - at] = 1
            return part

        fake.sc_pread = pread
        fd = kernel.open("/f")
        try:
            found = extents.pieces(kernel, fd, "/f", size, "ext4", DISK, True)
            assert damaged is None and found == [(512, sectors)]
            end = size
        except BootFailure as error:
            last, part = reads["/f"][-1]
            assert str(error) == "the bytes of /f at {} are not on /dev/vda".format(last)
            assert last <= damaged < last + part
            end = last + part
        assert reads["/f"] == reads[DISK]
        at = 0
        for start, part in reads["/f"]:
            assert start == at
            at += part
        assert at == end


def test_bytes_behind_the_end_of_the_file_are_not_compared():
    for size in (4 * BLOCK + 1, 3 * BLOCK, 2 * BLOCK - 5):
        for whole in (False, True):
            file = File(TWO, DATA[:size])
            file.damage(len(file.disk) - 1)
            assert file.pieces(whole) == [(8192, 2 * BLOCK), (40960, 3 * BLOCK)], size


def test_a_device_that_ends_before_the_file_is_refused():
    for whole in (False, True):
        file = File(TWO)
        file.disk = file.disk[:-1]
        assert "are not on /dev/vda" in file.refused(whole)


def test_errors_of_reads_are_raised():
    for call in ("sc_open " + DISK, "sc_pread " + DISK, "sc_pread /f"):
        file = File(TWO)
        file.fake.failures[call] = 5
        assert raises(OSError, file.pieces).errno == 5, call


MIB = 1 << 20


def on_btrfs(chunks, entries, places, devid=1):
    """Return the file on a btrfs, on whose disk its bytes are at the physical offsets of `places`.

    chunks: (logical address, item). devid: of the disk.
    """
    file = File(entries, places=places)
    file.disk += bytes(max(0, 70000 - len(file.disk)))
    file.disk[65536 + 0xC9 : 65536 + 0xD1] = struct.pack("<Q", devid)
    file.fake.chunks = chunks
    return file


def test_extents_of_btrfs_are_resolved_through_its_chunk_tree():
    stripes = [(2, 12288), (1, 8192)]
    chunks = [
        (MIB, chunk_tree.item(2 * BLOCK, stripes, 0x10)),
        (MIB + 2 * BLOCK, chunk_tree.item(MIB, [(1, 81920)])),
    ]
    # The second extent is in both chunks.
    entries = [(0, MIB + BLOCK // 2, BLOCK, 0), (BLOCK, MIB + 3 * BLOCK // 2, 4 * BLOCK, 1)]
    first = 3 * BLOCK // 2
    places = [(0, 8192 + BLOCK // 2, first, 0), (first, 81920, 5 * BLOCK - first, 0)]
    expected = [(8192 + BLOCK // 2, first), (81920, 5 * BLOCK - first)]
    assert on_btrfs(chunks, entries, places).pieces(True, "btrfs") == expected
    text = "/f is not on /dev/vda as a whole"
    assert on_btrfs(chunks, entries, places, 2).refused(True, "btrfs") == text
    assert on_btrfs(chunks[:1], entries, places).refused(True, "btrfs") == text
    assert on_btrfs([], entries, places).refused(True, "btrfs") == text
    for profile in chunk_tree.DIVIDED.values():
        divided = [chunks[0], (chunks[1][0], chunk_tree.item(MIB, [(1, 81920)], profile))]
        assert on_btrfs(divided, entries, places).refused(True, "btrfs") == text


def test_the_chunk_tree_is_searched_until_the_extent_is_covered():
    # A search returns at most 35 of these chunks.
    chunks = [(n * 512, chunk_tree.item(512, [(1, 71680 + n * 1024)])) for n in range(80)]
    start = 40 * 512
    length = len(DATA) // 512 * 512
    entries = [(0, start, length, 1)]
    chunks = [chunk for chunk in chunks if chunk[0] < start + length]
    places = [(n * 512, 71680 + (40 + n) * 1024, 512, 0) for n in range(length // 512)]
    file = on_btrfs(chunks, entries, places)
    searched = []
    call = file.fake.sc_btrfs_search

    def counting(fd, buffer):
        searched.append(struct.unpack_from("@QQ", bytes(buffer[24:40])))
        return call(fd, buffer)

    file.fake.sc_btrfs_search = counting
    expected = [(place[1], 512) for place in places]
    assert file.pieces(True, "btrfs") == expected
    last = start + length - 1
    assert searched[:3] == [(0, last), (34 * 512 + 1, last), (69 * 512 + 1, last)]


def test_errors_of_btrfs_are_raised():
    chunks = [(0, chunk_tree.item(MIB, [(1, 0)]))]
    entries = [(0, 8192, 5 * BLOCK, 1)]
    assert on_btrfs(chunks, entries, entries).pieces(True, "btrfs") == [(8192, 5 * BLOCK)]
    for call in ("sc_open " + DISK, "sc_pread " + DISK, "sc_btrfs_search"):
        file = on_btrfs(chunks, entries, entries)
        file.fake.failures[call] = 5
        assert raises(OSError, file.pieces, True, "btrfs").errno == 5, call
    file = on_btrfs([(0, b"short")], entries, entries)
    assert raises(OSError, file.pieces, True, "btrfs").args[1] == "malformed chunk"
    file = on_btrfs(chunks, entries, entries)
    file.disk = file.disk[: 65536 + 0xD0]
    error = raises(OSError, file.pieces, True, "btrfs")
    assert error.args[1] == "the device ends within the superblock"


def test_a_whole_comparison_fits_into_the_heap():
    """The heap has 1 MiB (micropython/module/main.c), 128 KiB of which is free in one piece."""
    fake, kernel, _, _ = make({"/f": b"", DISK: b""})
    size = 1 << 20
    fake.extents["/f"] = [(0, 512, size, 1)]
    largest = []

    def pread(fd, buffer, part, at):
        largest.append(part)
        return part

    fake.sc_pread = pread
    extents.pieces(kernel, kernel.open("/f"), "/f", size, "ext4", DISK, True)
    assert max(largest) <= 65536, max(largest)


def test_the_end_is_compared_if_it_is_in_two_pieces():
    """As on a vfat with clusters of 512 bytes."""
    entries = [(0, 8192, BLOCK + 512, 0), (BLOCK + 512, 40960, 512, 0)]
    data = DATA[: BLOCK + 1024]
    assert len(File(entries, data).pieces()) == 2
    text = "are not on /dev/vda"
    assert text in File(entries, data).damage(40960).refused()


def test_the_start_is_compared_if_it_is_in_two_pieces():
    entries = [(0, 8192, 512, 0), (512, 40960, 5 * BLOCK, 0)]
    assert "are not on /dev/vda" in File(entries).damage(40960).refused()
