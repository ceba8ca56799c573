# SPDX-License-Identifier: MIT
import struct

from support import mutations, raises, reader

from storage_init.formats import ext4

BLOCK = 1024
FILE = b"content " * 500  # in four blocks
SIZE = len(FILE)
AT = 40  # the block it begins in
FILL = 0x5A  # in fields that are not to be read


def extents(entries, depth=0):
    """Return the node of a tree of extents.

    entries: (first block in the file, blocks, first block on the device) at depth 0; above, (first
    block in the file, block of the node below).
    """
    node = struct.pack("<HHHHI", 0xF30A, len(entries), 4, depth, 0x5A5A5A5A)
    for entry in entries:
        if depth:
            node += struct.pack("<IIHH", entry[0], entry[1], 0, 0x5A5A)
        else:
            low, high = entry[2] & 0xFFFFFFFF, entry[2] >> 32
            node += struct.pack("<IHHI", entry[0], entry[1], high, low)
    return node


def inode(mode, size, node, flags=0x80000):
    data = bytearray(bytes([FILL]) * 128)
    data[0:2] = struct.pack("<H", mode)
    data[4:8] = struct.pack("<I", size & 0xFFFFFFFF)
    data[32:36] = struct.pack("<I", flags)
    data[40:100] = node + bytes(60 - len(node))
    data[108:112] = struct.pack("<I", size >> 32)
    return bytes(data)


def directory(*names):
    """Return a block of a directory with these entries, (inode, name)."""
    data = b""
    for number, name in names:
        size = (8 + len(name) + 3) // 4 * 4
        data += struct.pack("<IHBB", number, size, len(name), 1) + name
        data += bytes(size - 8 - len(name))
    return data + struct.pack("<IHBB", 0, BLOCK - len(data), 0, 0) + bytes(BLOCK - len(data) - 8)


def volume(
    node=None,
    incompat=0x242,
    state=1,
    flags=0x80000,
    ro_compat=0,
    log=0,
    blocks=64,
    per_group=32,
    inode_size=128,
    group_size=64,
    size=SIZE,
    root_size=BLOCK,
):
    """Return an ext4 of 64 blocks with the file /d/f, inode 13, and a symbolic link /l to it.

    blocks: as in its superblock. per_group: 32, or 8, which puts inodes 9 to 16 into another group.
    log: s_log_block_size. size: of the file. root_size: of the root directory.
    """
    block = BLOCK << log
    data = bytearray((46 if log else 64) * block)

    def put(at, content):
        data[at : at + len(content)] = content

    put(1024, bytes([FILL]) * 1024)
    put(1024 + 4, struct.pack("<I", blocks & 0xFFFFFFFF))
    first = 0 if log else 1
    put(1024 + 20, struct.pack("<II", first, log))
    put(1024 + 40, struct.pack("<I", per_group))
    put(1024 + 56, b"\x53\xef" + struct.pack("<H", state))
    put(1024 + 88, struct.pack("<H", inode_size))
    put(1024 + 96, struct.pack("<II", incompat, ro_compat))
    put(1024 + 254, struct.pack("<H", group_size))
    if incompat & 0x80:
        put(1024 + 336, struct.pack("<I", blocks >> 32))
    else:
        group_size = 32
    groups = (first + 1) * block
    put(groups, bytes([FILL]) * 256)
    for group in range(2):
        at = groups + group * group_size
        put(at + 8, struct.pack("<I", 4 + 6 * group))
        if group_size == 64:
            put(at + 40, bytes(4))
    for number, content in (
        (2, inode(0o40755, root_size, extents([(0, 1, 20)]))),
        (12, inode(0o40755, 2 * block, extents([(0, 1, 22), (1, 1, 21)]))),
        (13, inode(0o100600, size, node or extents([(0, 4, AT)]), flags)),
        (14, inode(0o120777, 3, b"d/f", 0)),
    ):
        group, index = divmod(number - 1, per_group)
        put((4 + 6 * group) * block + index * inode_size, content)
    put(20 * block, directory((2, b"."), (11, b"lost+found"), (12, b"d"), (14, b"l")))
    put(22 * block, directory((12, b"."), (0, b"f"), (1 << 31, b"other")))
    put(21 * block, directory((13, b"f")))
    put(AT * block, FILE)
    return data


def locate(data, path="/d/f"):
    return ext4.locate(reader(data), path)


def refused(data, path="/d/f"):
    error = raises(OSError, locate, data, path)
    return error.errno, error.args[1]


def test_a_file_in_one_piece():
    place = locate(volume())
    assert place == (len(FILE), [(AT * BLOCK, 4 * BLOCK)])
    assert locate(volume(), "//d//f") == place
    # extents one after the other are one piece, and so is what a tree of them leads to
    assert locate(volume(extents([(0, 1, AT), (1, 3, AT + 1)]))) == place
    data = volume(extents([(0, 30)], 1))
    data[30 * BLOCK : 30 * BLOCK + 24] = extents([(0, 4, AT)])
    assert locate(data) == place


def test_a_file_in_several_pieces():
    data = volume(extents([(0, 2, AT), (2, 1, AT + 4), (3, 1, AT - 5)]))
    place = locate(data)
    pieces = [(AT * BLOCK, 2 * BLOCK), ((AT + 4) * BLOCK, BLOCK), ((AT - 5) * BLOCK, BLOCK)]
    assert place == (len(FILE), pieces)
    content = b"".join([bytes(data[at : at + size]) for at, size in pieces])[: len(FILE)]
    read = ext4.reader(reader(data), place)
    for offset, size in ((0, 9999), (0, 5), (2040, 20), (3070, 10), (3990, 99), (3999, 1)):
        assert read(offset, size) == content[offset : offset + size]
    assert read(4000, 10) == read(9999, 10) == b""
    leaves = [(number * 2, 1, AT + number % 2) for number in range(84)]  # holes: none of it counts
    assert refused(volume(extents(leaves[:4])))[0] == 95


PLACE = (SIZE, [(AT * BLOCK, 4 * BLOCK)])


def test_block_sizes():
    assert locate(volume(log=1)) == (SIZE, [(AT * BLOCK * 2, 4 * BLOCK * 2)])
    data = volume()
    data[1024 + 24] = 5
    assert refused(data) == (95, "inode 2 has flags 0x0")
    data[1024 + 24] = 6
    assert refused(data) == (95, "damaged superblock, or blocks of more than 32 KiB")


def test_groups_and_sizes_of_inodes():
    for incompat in (0x242, 0x2C2):
        assert locate(volume(incompat=incompat, per_group=8)) == PLACE
        assert locate(volume(incompat=incompat, per_group=8, inode_size=256)) == PLACE
    for group_size in (32, 63):  # too small for the high half of a number
        assert locate(volume(incompat=0x2C2, per_group=8, group_size=group_size)) == PLACE
    for options in ({"inode_size": 127}, {"incompat": 0x2C2, "group_size": 31}):
        assert refused(volume(**options))[1].startswith("damaged superblock"), options
    data = volume()
    data[1024 + 40 : 1024 + 44] = bytes(4)  # no inodes
    assert refused(data)[1].startswith("damaged superblock")


def test_fields_of_an_inode():
    found = ext4.Volume(reader(volume(size=(3 << 32) + 7))).inode(13)
    root = extents([(0, 4, AT)])
    assert found == (0o100600, (3 << 32) + 7, root + bytes(60 - len(root)))
    assert refused(volume(flags=0x10))[1] == "inode 13 has flags 0x10"
    data = volume()
    data[4 * BLOCK : 4 * BLOCK + 128] = inode(0o100600, 7, root)
    assert ext4.Volume(reader(data)).inode(1).size == 7
    error = raises(OSError, ext4.Volume(reader(data)).inode, 0)
    assert (error.errno, error.args[1]) == (22, "inode 0 does not exist")


def test_each_feature_flag_and_state():
    data = volume(incompat=0x2C2)

    def accepted(incompat=0x242, ro_compat=0, state=1, flags=0x80000):
        # In place: copies of images are large for the heap of MicroPython.
        data[1024 + 58 : 1024 + 60] = struct.pack("<H", state)
        data[1024 + 96 : 1024 + 104] = struct.pack("<II", incompat, ro_compat)
        at = 4 * BLOCK + 12 * 128 + 32  # i_flags of inode 13
        data[at : at + 4] = struct.pack("<I", flags)
        try:
            return locate(data) == PLACE
        except OSError as error:
            assert error.errno == 95
            return False

    refused_flags = (0x4, 0x800, 0x100000, 0x10000000, 0x40000000)
    for bit in range(32):
        value = 1 << bit
        known = value in (0x2, 0x40, 0x80, 0x200, 0x2000, 0x4000)
        assert accepted(incompat=0x242 | value) == known, value
        assert accepted(ro_compat=value) == (value != 0x10000), value
        assert accepted(flags=value) == (value == 0x80000), value
        assert accepted(flags=0x80000 | value) == (value not in refused_flags), value
    for state in range(16):
        assert accepted(state=state) == (state & 3 == 1), state


def placed(at, blocks, count=4):
    """Return the pieces of a file that begins at block `at`, the errno if it is refused."""
    data = volume(extents([(0, count, at)]), incompat=0x2C2, blocks=blocks)
    try:
        return locate(data).pieces
    except OSError as error:
        return error.errno


def test_the_number_of_blocks():
    for blocks in (64, 1 << 32, (1 << 32) + 7, (1 << 40) + 3):
        assert placed(blocks - 4, blocks) == [((blocks - 4) * BLOCK, 4 * BLOCK)]
        assert placed(blocks - 3, blocks) == 22
    assert placed((1 << 46) - 4, 1 << 47) == [((1 << 56) - 4096, 4 * BLOCK)]
    assert placed((1 << 46) - 3, 1 << 47) == 22
    assert refused(volume(extents([(0, 4, 61)])))[0] == 22


def test_an_extent_of_more_than_32768_blocks_is_unwritten():
    assert placed(AT, 1 << 20, 32768) == [(AT * BLOCK, 32768 * BLOCK)]
    assert placed(AT, 1 << 20, 32769) == 95
    text = "the file has unwritten extents"
    for count in (0, 32769):
        assert refused(volume(extents([(0, count, AT), (count, 4, AT)]))) == (95, text)


def test_the_depth_of_the_tree():
    for depth in range(7):
        data = volume(extents([(0, 30)], depth) if depth else None)
        for level in range(depth):
            below = depth - level - 1
            node = extents([(0, 31 + level)], below) if below else extents([(0, 4, AT)])
            data[(30 + level) * BLOCK : (30 + level) * BLOCK + len(node)] = node
        if depth <= 5:
            assert locate(data) == PLACE, depth
        else:
            assert refused(data) == (22, "damaged tree of extents")


def test_a_node_may_be_in_the_last_block():
    for block in (63, 64):
        data = volume(extents([(0, block)], 1))
        data[63 * BLOCK : 63 * BLOCK + 24] = extents([(0, 4, AT)])
        if block == 63:
            assert locate(data) == PLACE
        else:
            assert refused(data) == (22, "a block is beyond the end of the filesystem")


def test_the_number_of_a_node_has_48_bits():
    root = bytearray(extents([(0, 30)], 1))
    root[20:22] = b"\1\0"  # ei_leaf_hi
    data = volume(bytes(root), incompat=0x2C2, blocks=1 << 34)
    node = extents([(0, 4, AT)])

    def read(offset, size):
        if offset == ((1 << 32) + 30) * BLOCK:
            return node + bytes(size - len(node))
        return bytes(data[offset : offset + size])

    assert ext4.locate(read, "/d/f") == PLACE


def test_a_file_has_up_to_128_pieces():
    for pieces in (128, 129):
        data = volume(extents([(0, 30), (84, 31)], 1), size=pieces * BLOCK, blocks=300)
        leaves = [(number, 1, 1 + number * 2) for number in range(pieces)]
        for at, part in ((30, leaves[:84]), (31, leaves[84:])):
            node = extents(part)
            data[at * BLOCK : at * BLOCK + len(node)] = node
        if pieces == 128:
            assert len(locate(data).pieces) == 128
        else:
            assert refused(data) == (95, "/d/f is in 129 pieces")


def test_a_tree_has_up_to_64_nodes():
    for leaves in (63, 64):
        data = volume(extents([(0, 30)], 2), size=BLOCK)
        node = extents([(0, 31)] + [(1, 32)] * (leaves - 1), 1)
        for at, part in ((30, node), (31, extents([(0, 4, AT)])), (32, extents([]))):
            data[at * BLOCK : at * BLOCK + len(part)] = part
        if leaves == 63:
            assert locate(data) == (BLOCK, [(AT * BLOCK, 4 * BLOCK)])
        else:
            assert refused(data) == (95, "the file is in too many pieces")


def test_a_file_has_up_to_1024_extents():
    for count in (79, 80):  # with 12 nodes of 79 extents: 1028 and 1029
        data = volume(extents([(0, 30)], 2), size=BLOCK)
        node = extents([(0, 31)] + [(1, 32)] * 12, 1)
        leaf = extents([(0, 1, AT)] * 79)
        first = extents([(0, 1, AT)] * (count - 3))
        for at, part in ((30, node), (31, first), (32, leaf)):
            data[at * BLOCK : at * BLOCK + len(part)] = part
        text = "the file has holes" if count == 79 else "the file has too many extents"
        assert refused(data) == (95, text), count


def test_a_directory_is_read_up_to_its_size():
    reads = []
    data = volume(root_size=BLOCK)
    node = extents([(0, 1, 20), (1, 32768, 20)])
    at = 4 * BLOCK + 128 + 40  # i_block of inode 2
    data[at : at + len(node)] = node
    data[1024 + 4 : 1024 + 8] = struct.pack("<I", 1 << 20)
    error = raises(OSError, ext4.locate, reader(data, reads), "/absent")
    assert error.errno == 2 and len(reads) < 10


def test_a_directory_has_up_to_a_mebibyte():
    assert refused(volume(root_size=1 << 20)) == (95, "the file has holes")
    text = "a directory of 1048577 bytes"
    assert refused(volume(root_size=(1 << 20) + 1)) == (95, text)


def test_block_numbers_of_64_bits():
    data = volume(incompat=0x2C2, blocks=1 << 33)
    data[2048 + 40 : 2048 + 44] = b"\1\0\0\0"
    assert refused(data) == (22, "the device ends within the filesystem")
    data = volume(incompat=0x2C2)
    data[2048 + 40 : 2048 + 44] = b"\1\0\0\0"
    assert refused(data) == (22, "a block is beyond the end of the filesystem")
    data[2048 + 40 : 2048 + 44] = bytes(4)
    assert locate(data).pieces[0][0] == AT * BLOCK


def test_a_missing_file_is_named():
    assert refused(volume(), "/d/g") == (2, "/d/g: there is no g")
    assert refused(volume(), "/d/other")[0] == 22  # an inode beyond the end
    assert refused(bytes(4096)) == (22, "no ext4 superblock")


def test_files_that_need_the_driver():
    for data in (
        volume(incompat=0x246),  # the journal has something
        volume(incompat=0x8242),  # inline data
        volume(state=0),
        volume(state=3),  # an error was noticed
        volume(ro_compat=0x10000),
        volume(flags=0x80800),  # encrypted
        volume(flags=0),  # no extents
        volume(extents([(0, 3, AT)])),  # less than its size
        volume(extents([(0, 2, AT), (3, 1, AT + 3)])),  # a hole
        volume(extents([(0, 32772, AT)])),  # not written
        volume(extents([])),
    ):
        assert refused(data)[0] == 95
    assert refused(volume(), "/d") == (95, "/d is not a regular file")
    assert refused(volume(), "/l")[0] == 95
    assert refused(volume(), "/d/f/x") == (95, "/d/f/x: a parent of it is not a directory")
    assert refused(volume(extents([]), size=0)) == (95, "/d/f is in 0 pieces")
    data = volume(extents([(0, 2, AT), (3, 1, AT + 3)]))
    assert refused(data) == (95, "the file has holes")


def test_the_extents_of_a_file_cover_its_last_byte():
    for size in (2 * BLOCK - 1, 2 * BLOCK):
        assert locate(volume(extents([(0, 2, AT)]), size=size)) == (size, [(AT * BLOCK, 2 * BLOCK)])
    data = volume(extents([(0, 2, AT)]), size=2 * BLOCK + 1)
    assert refused(data) == (95, "the file has holes")


def test_damaged_structures_are_refused():
    assert (
        refused(volume(extents([(0, 4, 61)])))[1] == "a block is beyond the end of the filesystem"
    )
    assert refused(volume(extents([(0, 30)], 1)))[1] == "damaged tree of extents"
    assert refused(volume()[: 22 * BLOCK])[1] == "the device ends within the filesystem"
    data = volume(extents([(0, 30)], 1))
    data[30 * BLOCK : 30 * BLOCK + 24] = extents([(0, 30)], 1)  # to itself
    assert refused(data)[1] == "damaged tree of extents"
    data = volume()
    data[22 * BLOCK + 4 : 22 * BLOCK + 6] = bytes(2)  # an entry of no length
    assert locate(data).pieces[0][0] == AT * BLOCK


def test_large_directories_and_trees_are_refused():
    wide = extents([(0, 30)] * 4, 2)
    data = volume(wide)
    data[30 * BLOCK : 31 * BLOCK] = (extents([(0, 31)] * 84, 1) + bytes(BLOCK))[:BLOCK]
    data[31 * BLOCK : 31 * BLOCK + 24] = extents([(0, 4, AT)])
    assert refused(data)[1] == "the file is in too many pieces"
    data = volume()
    at = 4 * BLOCK + 11 * 128
    data[at + 4 : at + 8] = struct.pack("<I", 1 << 30)
    assert refused(data)[1] == "a directory of 1073741824 bytes"


def test_hostile_filesystems_raise_only_oserror():
    for data in mutations(volume(), 300, 24 * BLOCK):
        try:
            place = locate(data)
            for offset, size in place.pieces:
                assert offset >= 0 and size > 0 and offset + size <= 64 * BLOCK
        except OSError:
            pass
