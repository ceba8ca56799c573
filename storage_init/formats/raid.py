# SPDX-License-Identifier: MIT
"""Recognize a member of a RAID or of DRBD by the structure at the end of the device.

Sources: the probe functions of libblkid (util-linux, libblkid/src/superblocks), which give the
types their names: isw_raid.c, ddf_raid.c, lsi_raid.c, nvidia_raid.c, silicon_raid.c,
via_raid.c, jmicron_raid.c, adaptec_raid.c, drbd.c. Not recognized, since their places would need
more reads: promise_raid.c, highpoint_raid.c, and the second place of ddf_raid.c.
"""

from struct import unpack_from

from storage_init.formats import const

_SECTOR = const(512)

# (type, sectors before the end of the device at which the structure begins, its magics as (byte of
# the structure, content), which must all be there). Only the whole disk is a member.
_DISKS = const(
    (
        ("isw_raid_member", 2, ((0, b"Intel Raid ISM Cfg Sig. "),)),
        ("lsi_mega_raid_member", 1, ((0, b"$XIDE$"),)),
        ("silicon_medley_raid_member", 1, ((96, b"\0\0\0\x2f"),)),
        ("via_raid_member", 1, ((0, b"\x55\xaa"),)),
        ("nvidia_raid_member", 2, ((0, b"NVIDIA"),)),
        ("adaptec_raid_member", 1, ((0, b"\x37\xfc\x4d\x1e"), (256, b"DPTM"))),
        ("jmicron_raid_member", 1, ((0, b"JM"),)),
    )
)

# The same for members that are partitions, too.
_ANY = const(
    (
        ("ddf_raid_member", 1, ((0, b"\xde\x11\xde\x11"),)),
        ("ddf_raid_member", 1, ((0, b"\x11\xde\x11\xde"),)),
        ("drbd", 8, ((60, b"\x83\x74\x02\x6b"),)),
        ("drbd", 8, ((60, b"\x83\x74\x02\x6c"),)),
        ("drbd", 8, ((60, b"\x83\x74\x02\x6d"),)),
    )
)


def kind(tail: bytes, is_disk: bool) -> str:
    """Return the type of the member, "" if the device is none.

    tail: the last 8 sectors of the device. is_disk: whether the device is a whole disk, not a
    partition.
    """
    for table in (_ANY, _DISKS) if is_disk else (_ANY,):
        for name, sectors, magics in table:
            start = len(tail) - sectors * _SECTOR
            found = all([tail.startswith(magic, start + at) for at, magic in magics])
            if found and _is_sound(name, tail[start : start + _SECTOR]):
                return name
    return ""


# via_metadata: version_number and checksum, of the bytes before it. silicon_metadata: disk_number,
# and checksum1 of the 16-bit words before it. jm_metadata: mode, and the 16-bit words that a
# checksum covers.
_VIA = const((2, 2, 50))  # byte of the version, the highest version, byte of the checksum
_SILICON = const((278, 7, 159))  # byte of the number, the highest number, words that are summed up
_JMICRON = const((48, 5, 64))  # byte of the mode, the highest mode, words that are summed up


def _is_sound(name: str, block: bytes) -> bool:
    """Return whether a structure with a short magic has valid fields and a valid checksum."""
    if name == "via_raid_member":
        at, most, end = _VIA
        return block[at] <= most and sum(block[:end]) & 0xFF == block[end]
    if name == "silicon_medley_raid_member":
        at, most, words = _SILICON
        return block[at] <= most and _sum(block, words + 1) & 0xFFFF == 0
    if name == "jmicron_raid_member":
        at, most, words = _JMICRON
        return block[at] <= most and _sum(block, words) & 0xFFFF in (0, 1)
    return True


def _sum(block: bytes, words: int) -> int:
    return sum([int(unpack_from("<H", block, 2 * word)[0]) for word in range(words)])
