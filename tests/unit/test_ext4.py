# SPDX-License-Identifier: MIT
import struct

from support import mutations, raises, reader

from storage_init.formats import ext4

BLOCK = 1024
FILE = b"content " * 500  # in four blocks
AT = 40  # the block it begins in


def extents(entries, depth=0):
    """The node of a tree: (first block in the file, how many, first block), or (first, block)."""
    node = struct.pack("<HHHHI", 0xF30A, len(entries), 4, depth, 0)
    for entry in entries:
        if depth:
            node += struct.pack("<IIHH", entry[0], entry[1], 0, 0)
        else:
            node += struct.pack("<IHHI", entry[0], entry[1], 0, entry[2])
    return node


def inode(mode, size, node, flags=0x80000):
    head = struct.pack("<HHI", mode, 0, size) + bytes(24) + struct.pack("<I", flags)
    return head + bytes(4) + node + bytes(60 - len(node)) + bytes(28)


def directory(*names):
    """A block of a directory: (inode, name) in each."""
    data = b""
    for number, name in names:
        size = (8 + len(name) + 3) // 4 * 4
        data += struct.pack("<IHBB", number, size, len(name), 0) + name
        data += bytes(size - 8 - len(name))
    return data + struct.pack("<IHBB", 0, BLOCK - len(data), 0, 0) + bytes(BLOCK - len(data) - 8)


def volume(node=None, incompat=0x242, state=1, flags=0x80000, ro_compat=0):
    """An ext4 of 64 blocks: the file /d/f, which inode 13 is, and a symbolic link /l to it."""
    data = bytearray(64 * BLOCK)

    def put(at, content):
        data[at : at + len(content)] = content

    put(1024 + 4, struct.pack("<I", 64))
    put(1024 + 20, struct.pack("<II", 1, 0))  # the first block, and blocks of 1024 bytes
    put(1024 + 40, struct.pack("<I", 32))  # inodes per group
    put(1024 + 56, b"\x53\xef" + struct.pack("<H", state))
    put(1024 + 88, struct.pack("<H", 128))
    put(1024 + 96, struct.pack("<II", incompat, ro_compat))
    put(1024 + 254, struct.pack("<H", 64))
    put(2048 + 8, struct.pack("<I", 4))
    for number, content in (
        (2, inode(0o40755, BLOCK, extents([(0, 1, 20)]))),
        (12, inode(0o40755, 2 * BLOCK, extents([(0, 1, 22), (1, 1, 21)]))),
        (13, inode(0o100600, len(FILE), node or extents([(0, 4, AT)]), flags)),
        (14, inode(0o120777, 3, b"d/f", 0)),
    ):
        put(4 * BLOCK + (number - 1) * 128, content)
    put(20 * BLOCK, directory((2, b"."), (12, b"d"), (14, b"l")))
    put(22 * BLOCK, directory((12, b"."), (0, b"f"), (1 << 31, b"other")))
    put(21 * BLOCK, directory((13, b"f")))
    put(AT * BLOCK, FILE)
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


def test_with_64_bits():
    data = volume(incompat=0x2C2)
    data[2048 + 40 : 2048 + 44] = b"\1\0\0\0"
    assert refused(data) == (22, "a block number is beyond the end of the filesystem")
    data[2048 + 40 : 2048 + 44] = bytes(4)
    assert locate(data).pieces[0][0] == AT * BLOCK


def test_what_is_not_there():
    assert refused(volume(), "/d/g") == (2, "/d/g: there is no g")
    assert refused(volume(), "/d/other")[0] == 22  # an inode beyond the end
    assert refused(bytes(4096)) == (22, "no ext4 superblock")


def test_what_takes_the_driver():
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
    assert refused(volume(), "/d")[1] == "/d is not a regular file"
    assert refused(volume(), "/l")[0] == 95
    assert refused(volume(), "/d/f/x")[1] == "/d/f/x: a parent of it is not a directory"


def test_damage():
    assert refused(volume(extents([(0, 4, 61)])))[1] == "a block number is beyond the end of the filesystem"
    assert refused(volume(extents([(0, 30)], 1)))[1] == "damaged tree of extents"
    assert refused(volume()[: 22 * BLOCK])[1] == "the filesystem continues beyond the end of the device"
    data = volume(extents([(0, 30)], 1))
    data[30 * BLOCK : 30 * BLOCK + 24] = extents([(0, 30)], 1)  # to itself
    assert refused(data)[1] == "damaged tree of extents"
    data = volume()
    data[22 * BLOCK + 4 : 22 * BLOCK + 6] = bytes(2)  # an entry of no length
    assert locate(data).pieces[0][0] == AT * BLOCK


def test_a_directory_or_a_tree_that_is_large():
    wide = extents([(0, 30)] * 4, 2)
    data = volume(wide)
    data[30 * BLOCK : 31 * BLOCK] = (extents([(0, 31)] * 84, 1) + bytes(BLOCK))[:BLOCK]
    data[31 * BLOCK : 31 * BLOCK + 24] = extents([(0, 4, AT)])
    assert refused(data)[1] == "the file is in too many pieces"
    data = volume()
    at = 4 * BLOCK + 11 * 128
    data[at + 4 : at + 8] = struct.pack("<I", 1 << 30)
    assert refused(data)[1] == "a directory of 1073741824 bytes"


def test_nothing_but_an_OSError_for_what_is_hostile():
    for data in mutations(volume(), 300, 24 * BLOCK):
        try:
            place = locate(data)
            for offset, size in place.pieces:
                assert offset >= 0 and size > 0 and offset + size <= 64 * BLOCK
        except OSError:
            pass
