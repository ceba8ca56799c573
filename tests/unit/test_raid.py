# SPDX-License-Identifier: MIT
import struct

from storage_init.formats.raid import kind

TAIL_SIZE = 4096


def tail(at, content):
    """Return the end of a device with this content `at` bytes before it."""
    data = bytearray(b"\x5a" * TAIL_SIZE)
    data[TAIL_SIZE - at : TAIL_SIZE - at + len(content)] = content
    return bytes(data)


def via(version=0, last=0):
    block = bytearray(b"\x55\xaa") + bytes([version]) + bytes(range(46)) + bytes([last])
    return bytes(block + bytes([sum(block) & 0xFF]))


def silicon(number=0, last=7):
    block = bytearray(512)
    block[96:100] = b"\0\0\0\x2f"
    block[278] = number
    block[316] = last
    struct.pack_into("<H", block, 318, -sum(struct.unpack_from("<159H", bytes(block))) & 0xFFFF)
    return bytes(block[:320]) + b"\x33" * 192


def jmicron(mode=0, total=0):
    block = bytearray(128)
    block[:2] = b"JM"
    block[48] = mode
    block[126:128] = b"\1\2"
    struct.pack_into("<H", block, 4, total - sum(struct.unpack("<64H", bytes(block))) & 0xFFFF)
    return bytes(block)


DISKS = (
    ("isw_raid_member", 1024, b"Intel Raid ISM Cfg Sig. "),
    ("lsi_mega_raid_member", 512, b"$XIDE$"),
    ("silicon_medley_raid_member", 512, silicon()),
    ("silicon_medley_raid_member", 512, silicon(7)),
    ("via_raid_member", 512, via()),
    ("via_raid_member", 512, via(2, 9)),
    ("nvidia_raid_member", 1024, b"NVIDIA"),
    ("adaptec_raid_member", 512, b"\x37\xfc\x4d\x1e" + bytes(252) + b"DPTM"),
    ("jmicron_raid_member", 512, jmicron()),
    ("jmicron_raid_member", 512, jmicron(5, 1)),
)


def test_a_whole_disk_is_a_member():
    for name, at, content in DISKS:
        assert kind(tail(at, content), True) == name, name
        assert kind(tail(at, content), False) == "", name
        assert kind(tail(at, content[:5]), True) == "", name


def test_a_partition_can_be_a_member_too():
    for name, at, content in (
        ("ddf_raid_member", 512, b"\xde\x11\xde\x11"),
        ("ddf_raid_member", 512, b"\x11\xde\x11\xde"),
        ("drbd", 4096 - 60, b"\x83\x74\x02\x6b"),
        ("drbd", 4096 - 60, b"\x83\x74\x02\x6c"),
        ("drbd", 4096 - 60, b"\x83\x74\x02\x6d"),
    ):
        assert kind(tail(at, content), True) == kind(tail(at, content), False) == name
        assert kind(tail(at, content[:3]), True) == ""


def test_short_magics_need_valid_fields_and_a_valid_checksum():
    for content in (via(3), silicon(8), jmicron(6), jmicron(0, 2), jmicron(0, 65535)):
        assert kind(tail(512, content), True) == ""
    for content in (via(), silicon(), jmicron()):
        assert kind(tail(512, content), True) != ""
        for at in (40, 44):
            bad = bytearray(content)
            bad[at] ^= 0x10
            assert kind(tail(512, bytes(bad)), True) == ""


def test_other_content_is_no_member():
    assert kind(bytes(TAIL_SIZE), True) == ""
    assert kind(b"\xff" * TAIL_SIZE, True) == ""
