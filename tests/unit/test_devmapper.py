# SPDX-License-Identifier: MIT
from support import dm_targets

from storage_init.kernel.devmapper import Target, pack, pieces


def test_pack_places_targets_one_after_the_other():
    packed = pack([Target("linear", 1024, "/dev/loop0 8"), Target("verity", 4096, "1 x")])
    table = [(0, 2, "linear", "/dev/loop0 8"), (2, 8, "verity", "1 x")]
    assert dm_targets(packed, 2) == table
    assert len(packed) == 40 + 16 + 40 + 8


def test_targets_may_start_beyond_32_bits():
    packed = pack([Target("linear", 3 << 41, "a 0"), Target("linear", 512, "b 0")])
    assert dm_targets(packed, 2) == [(0, 3 << 32, "linear", "a 0"), (3 << 32, 1, "linear", "b 0")]


def test_parameters_end_with_a_nul():
    assert pack([Target("linear", 512, "1234567")])[40:] == b"1234567\0"
    assert pack([Target("linear", 512, "12345678")])[40:] == b"12345678" + bytes(8)


def test_pieces_are_linear_targets_up_to_the_size():
    places = [(4096, 8192), (65536, 4096), (0, 4096)]
    found = pieces("/dev/loop0", places, 13000)
    assert found == [
        ("linear", 8192, "/dev/loop0 8"),
        ("linear", 4096, "/dev/loop0 128"),
        ("linear", 1024, "/dev/loop0 0"),  # 712 bytes of it are the file's
    ]
    assert pieces("/dev/loop0", places, 8192) == found[:1]
