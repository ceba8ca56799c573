# SPDX-License-Identifier: MIT
import struct

from support import mutations, raises, reader

from storage_init.formats import btrfs

# BTRFS_BLOCK_GROUP_*: of data, and its profile.
DATA = 0x1
COPIES = {"single": 0, "RAID1": 0x10, "DUP": 0x20, "RAID1C3": 0x200, "RAID1C4": 0x400}
DIVIDED = {"RAID0": 0x8, "RAID10": 0x40, "RAID5": 0x80, "RAID6": 0x100}

GIB = 1 << 30


def item(length, stripes, profile=0):
    """Return a struct btrfs_chunk. stripes: (devid, offset)."""
    size = 65536
    data = struct.pack("<QQQQ", length, 2, size, DATA | profile)
    data += struct.pack("<IIIHH", size, size, 4096, len(stripes), 1)
    for devid, offset in stripes:
        data += struct.pack("<QQ16s", devid, offset, b"u" * 16)
    return data


def result(found, count=None):
    """Return the struct btrfs_ioctl_search_args of a search that found these items.

    found: (logical address, item). count: as in nr_items, if it is not that of the items.
    """
    data = bytearray(btrfs.search(0, 0))
    at = 104
    for logical, content in found:
        data[at : at + 32] = struct.pack("@QQQII", 5, 256, logical, 228, len(content))
        at += 32
        data[at : at + len(content)] = content
        at += len(content)
    data[64:68] = struct.pack("@I", len(found) if count is None else count)
    assert len(data) == 4096
    return bytes(data)


def parsed(*found):
    """Return the chunks parsed from the result of a search. found: (logical address, item)."""
    return list(btrfs.chunks(result(found)))


def test_device_id():
    devid = 0x0102030405060708
    device = bytes(65536 + 0xC9) + struct.pack("<Q", devid)
    assert btrfs.device_id(reader(device)) == devid
    for size in (0, 65536, len(device) - 1):
        error = raises(OSError, btrfs.device_id, reader(device[:size]))
        assert error.errno == 22 and "within the superblock" in error.args[1]


def test_the_search_key_has_the_layout_of_the_kernel():
    """Compare with struct btrfs_ioctl_search_key of include/uapi/linux/btrfs.h."""
    start, last = 0x1122334455667788, 0x99AABBCCDDEEFF00
    expected = bytearray(4096)
    for at, code, value in (
        (0, "@Q", 3),  # tree_id: the chunk tree
        (8, "@Q", 256),  # min_objectid
        (16, "@Q", 256),  # max_objectid
        (24, "@Q", start),  # min_offset
        (32, "@Q", last),  # max_offset
        (40, "@Q", 0),  # min_transid
        (48, "@Q", 0xFFFFFFFFFFFFFFFF),  # max_transid
        (56, "@I", 228),  # min_type: BTRFS_CHUNK_ITEM_KEY
        (60, "@I", 228),  # max_type
        (64, "@I", 64),  # nr_items
    ):
        packed = struct.pack(code, value)
        expected[at : at + len(packed)] = packed
    assert btrfs.search(start, last) == expected
    assert btrfs.ARGUMENTS_SIZE == 4096


def test_a_search_starts_16_gib_before_the_address():
    assert btrfs.first_start(20 * GIB + 5) == 4 * GIB + 5
    assert btrfs.first_start(16 * GIB) == 0 and btrfs.first_start(16 * GIB - 1) == 0


def test_chunks_of_a_search():
    assert parsed() == []
    at, length, offset = 5 * GIB, 6 * GIB, 7 * GIB + 512
    one = (at, item(length, [(1 << 40, offset), (2, 4096)], COPIES["RAID1"]))
    other = (at + length, item(4096, [(1, 8192)], DIVIDED["RAID0"]))
    first, second = parsed(one, other)
    assert (first.logical, first.length, first.divided) == (at, length, False)
    assert first.stripes == [(1 << 40, offset), (2, 4096)]
    assert (second.logical, second.length, second.divided) == (at + length, 4096, True)
    assert second.stripes == [(1, 8192)]


def test_an_address_of_a_chunk_with_one_copy():
    found = parsed((5 * GIB, item(8192, [(1, 9 * GIB)])))
    assert btrfs.resolve(found, 1, 5 * GIB, 8192) == [(9 * GIB, 8192)]
    assert btrfs.resolve(found, 1, 5 * GIB + 512, 1024) == [(9 * GIB + 512, 1024)]
    assert btrfs.resolve(found, 1, 5 * GIB, 0) == []
    assert btrfs.resolve(found, 2, 5 * GIB, 8192) is None


def test_the_first_copy_of_dup_is_used():
    found = parsed((4096, item(8192, [(1, 65536), (1, 131072)], COPIES["DUP"])))
    assert btrfs.resolve(found, 1, 8192, 512) == [(65536 + 4096, 512)]


def test_the_copy_on_this_device_is_used():
    stripes = [(3, 4096), (1, 65536), (2, 131072)]
    for name in ("RAID1", "RAID1C3", "RAID1C4"):
        found = parsed((0, item(8192, stripes, COPIES[name])))
        for devid, offset in stripes:
            assert btrfs.resolve(found, devid, 512, 512) == [(offset + 512, 512)], name
        assert btrfs.resolve(found, 4, 512, 512) is None


def test_profiles_that_divide_data_are_refused():
    for name, profile in DIVIDED.items():
        found = parsed((0, item(8192, [(1, 4096), (2, 4096)], profile)))
        assert found[0].divided and btrfs.resolve(found, 1, 0, 512) is None, name
    for name, profile in COPIES.items():
        assert not parsed((0, item(8192, [(1, 4096)], profile)))[0].divided, name


def test_a_range_over_two_chunks():
    one, other = (0, item(8192, [(1, 4096)])), (8192, item(8192, [(2, 0), (1, 65536)], 0x10))
    for found in (parsed(one, other), parsed(other, one)):
        assert btrfs.resolve(found, 1, 4096, 8192) == [(8192, 4096), (65536, 4096)]
        assert btrfs.resolve(found, 1, 0, 16384) == [(4096, 8192), (65536, 8192)]
        assert btrfs.resolve(found, 2, 4096, 8192) is None
        assert btrfs.resolve(found, 2, 8192, 8192) == [(0, 8192)]


def test_a_missing_chunk():
    found = parsed((4096, item(4096, [(1, 0)])), (16384, item(4096, [(1, 8192)])))
    for logical, length in ((0, 512), (4095, 1), (8192, 1), (4096, 4097), (8000, 10000)):
        assert btrfs.resolve(found, 1, logical, length) is None, logical
    assert btrfs.resolve(found, 1, 4096, 4096) == [(0, 4096)]
    assert btrfs.resolve([], 1, 0, 1) is None


def test_a_chunk_without_stripes_or_length_holds_nothing():
    assert btrfs.resolve(parsed((0, item(4096, []))), 1, 0, 512) is None
    assert btrfs.resolve(parsed((0, item(0, [(1, 0)]))), 1, 0, 512) is None


ITEMS = ((4096, item(4096, [(1, 0), (2, 4096)])), (8192, item(4096, [(1, 8192)])))
END = 104 + 32 + 112 + 32 + 80


def test_a_truncated_search_result_is_malformed():
    data = result(ITEMS)
    assert len(list(btrfs.chunks(data[:END]))) == 2
    for size in range(68, END):
        error = raises(OSError, lambda size=size: list(btrfs.chunks(data[:size])))
        assert error.errno == 22 and "malformed" in error.args[1], size


def test_more_items_than_there_are_is_malformed():
    for count in (3, 64, 0xFFFFFFFF):
        data = result(ITEMS, count)
        for part in (data, data[:END]):
            error = raises(OSError, lambda part=part: list(btrfs.chunks(part)))
            assert error.errno == 22 and "malformed" in error.args[1]


def test_an_item_that_is_too_short_for_its_stripes_is_malformed():
    for size in range(112):
        data = result(((0, item(4096, [(1, 0), (2, 0)])[:size]),))
        assert raises(OSError, lambda data=data: list(btrfs.chunks(data))).errno == 22, size


def test_corrupted_search_results_raise_no_other_exception():
    data = result(ITEMS)
    good = 0
    for copy in mutations(data, 500, END):
        try:
            for chunk in btrfs.chunks(copy):
                btrfs.resolve([chunk], 1, 4096, 512)
            good += 1
        except OSError as error:
            assert error.errno == 22
    assert 0 < good < 500


def test_a_search_result_without_nr_items_is_malformed():
    data = result(ITEMS)
    for size in range(68):
        error = raises(OSError, lambda size=size: list(btrfs.chunks(data[:size])))
        assert error.errno == 22, size
