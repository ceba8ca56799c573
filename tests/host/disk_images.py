# SPDX-License-Identifier: MIT
"""Files with filesystems, members and partition tables, made by the real tools."""

import os
import random
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parent.parent.parent
UUID = "01020304-0506-0708-090a-0b0c0d0e0f10"
RAW = bytes(range(1, 17))
MIB = 1 << 20

# Writes a disk image to a path that does not exist.
Make = Callable[[Path], None]

ENVIRONMENT = {
    "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
    "PYTHONPATH": str(ROOT),
    "LC_ALL": "C.UTF-8",
    "MTOOLS_SKIP_CHECK": "1",
}


def run(*words: "str | Path", stdin: str = "") -> str:
    """Run a tool, assert that it succeeds, and return its standard output."""
    line = [str(word) for word in words]
    done = subprocess.run(
        line, input=stdin, capture_output=True, text=True, env=ENVIRONMENT, timeout=60
    )
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def create(path: Path, size: int) -> Path:
    """Create a sparse file of a size in bytes and return its path."""
    path.touch()
    os.truncate(path, size)
    return path


def partitioned(path: Path, size: int, table: str) -> Path:
    """Create a disk with a partition table, in the language of sfdisk, and return its path."""
    run("sfdisk", "-q", create(path, size), stdin=table)
    return path


def mkfs(size: int, *words: str) -> Make:
    """Run a mkfs tool on a new file. size: in MiB."""

    def make(path: Path) -> None:
        run(*words, create(path, size * MIB))

    return make


def overwritten(make: Make, *parts: "tuple[int, bytes]") -> Make:
    """Overwrite parts of the file that another function makes. Negative offsets: from the end."""

    def change(path: Path) -> None:
        make(path)
        with path.open("r+b") as file:
            for at, content in parts:
                file.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
                file.write(content)

    return change


def debugfs(make: Make, *commands: str) -> Make:
    """Run commands of debugfs on the filesystem that another function makes."""

    def change(path: Path) -> None:
        make(path)
        for command in commands:
            run("debugfs", "-w", "-R", command, path)

    return change


def squashfs(path: Path) -> None:
    run("mksquashfs", ROOT / "storage_init", path, "-quiet", "-no-progress", "-noappend")


def erofs(path: Path) -> None:
    run("mkfs.erofs", "-U", UUID, path, ROOT / "dracut")


def fat_with_many_files(path: Path) -> None:
    """The directory entry of the label is outside the first cluster."""
    mkfs(64, "mkfs.vfat", "-F", "32", "-s", "1")(path)
    files = [path.parent / f"a-name-that-needs-two-entries-{number}" for number in range(40)]
    for file in files:
        file.touch()
    run("mcopy", "-i", path, *files, "::")
    run("mlabel", "-i", path, "::LATE")


def fat_with_label_in_the_boot_sector_only(path: Path) -> None:
    """The directory entry of the label is deleted."""
    mkfs(4, "mkfs.vfat", "-F", "12", "-n", "ONLYBOOT")(path)
    data = path.read_bytes()
    at = data.rindex(b"ONLYBOOT   ")
    assert at > 512
    path.write_bytes(data[:at] + b"\xe5" + data[at + 1 :])


def luks(kind: str) -> Make:
    def make(path: Path) -> None:
        create(path, 32 * MIB)
        key = path.with_suffix(".key")
        key.write_text("key")
        options = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--disable-locks"]
        run("cryptsetup", "luksFormat", "-q", "--type", kind, *options, path, key)

    return make


def lvm_label() -> bytes:
    """Return the label of an LVM physical volume, for its second sector."""
    body = struct.pack("<I", 32) + b"LVM2 001" + b"abcdefghijklmnopqrstuvwxyz012345"
    body += bytes(492 - len(body))
    crc = zlib.crc32(body, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return b"LABELONE" + struct.pack("<QI", 1, crc) + body


def md_1(offset: int) -> bytes:
    """Return an md 1.x superblock for this offset in bytes (include/uapi/linux/raid/md_p.h)."""
    block = bytearray(256)
    struct.pack_into("<II8x16s32s", block, 0, 0xA92B4EFC, 1, RAW, b"host:name")
    struct.pack_into("<Q", block, 144, offset >> 9)
    total = sum(struct.unpack("<64I", block))
    struct.pack_into("<I", block, 216, ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF)
    return bytes(block)


def md_0(size: int, order: str = "<") -> bytes:
    """Return an md 0.90 superblock for a member with `size` bytes of data."""
    words = (0xA92B4EFC, 0, 90, 0, 0, 0x01020304, 0, 1, size >> 10, 2, 2, 0, 0, 1, 2, 3)
    return struct.pack(order + "16I", *words)


def via() -> bytes:
    """Return the sector of a member of a VIA RAID (struct via_metadata of libblkid)."""
    block = bytearray(b"\x55\xaa\1") + bytes(range(47)) + bytes(462)
    block[50] = sum(block[:50]) & 0xFF
    return bytes(block)


def silicon() -> bytes:
    """Return the sector of a member of a Silicon Image RAID (struct silicon_metadata)."""
    block = bytearray(512)
    block[96:100] = b"\0\0\0\x2f"
    struct.pack_into("<H", block, 318, -sum(struct.unpack_from("<159H", block)) & 0xFFFF)
    return bytes(block)


def jmicron() -> bytes:
    """Return the sector of a member of a JMicron RAID (struct jm_metadata of libblkid)."""
    block = bytearray(b"JM\1\2") + bytes(508)
    struct.pack_into("<H", block, 4, -sum(struct.unpack_from("<64H", block)) & 0xFFFF)
    return bytes(block)


def nvidia() -> bytes:
    """Return the start of the structure of a NVIDIA RAID (struct nv_metadata of libblkid)."""
    block = bytearray(b"NVIDIA  ") + struct.pack("<IIH", 30, 0, 100) + bytes(102)
    struct.pack_into("<I", block, 12, -sum(struct.unpack("<30I", block)) & 0xFFFFFFFF)
    return bytes(block)


def adaptec() -> bytes:
    """Return the sector of a member of an Adaptec RAID (struct adaptec_metadata of libblkid)."""
    return b"\x37\xfc\x4d\x1e" + bytes(252) + b"DPTM" + bytes(252)


def noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(MIB))


def partition_table(path: Path) -> None:
    partitioned(path, 8 * MIB, "label: gpt\n;\n")


EXT4 = mkfs(8, "mkfs.ext4", "-q", "-L", "boot", "-U", UUID)
FAT16 = mkfs(16, "mkfs.vfat", "-F", "16", "-n", "EFI BOOT", "-i", "1234abcd")

# name -> function that makes the file
IMAGES = {
    "ext2": mkfs(8, "mkfs.ext2", "-q", "-L", "two words", "-U", UUID),
    "ext3": mkfs(8, "mkfs.ext3", "-q", "-L", "boot"),
    "ext4": EXT4,
    "ext4-long-label": mkfs(8, "mkfs.ext4", "-q", "-L", "sixteen-bytes-xx"),
    "ext4-blank-at-the-end": mkfs(8, "mkfs.ext4", "-q", "-L", "boot  "),
    "ext4-utf8": mkfs(8, "mkfs.ext4", "-q", "-L", "Größe"),
    "ext4-no-journal": mkfs(8, "mkfs.ext4", "-q", "-O", "^has_journal"),
    "ext4-external-journal": debugfs(EXT4, "ssv journal_inum 0", "ssv journal_dev 0x811"),
    "ext4-nil-uuid": mkfs(8, "mkfs.ext4", "-q", "-U", "clear"),
    "jbd": mkfs(8, "mke2fs", "-q", "-F", "-O", "journal_dev", "-L", "journal"),
    "xfs": mkfs(320, "mkfs.xfs", "-q", "-L", "twelve-bytes", "-m", "uuid=" + UUID),
    "btrfs": mkfs(128, "mkfs.btrfs", "-q", "-L", "a label", "-U", UUID),
    "fat12": mkfs(4, "mkfs.vfat", "-F", "12", "-n", "SMALL"),
    "fat16": FAT16,
    "fat32": mkfs(64, "mkfs.vfat", "-F", "32", "-n", "ESP"),
    "fat32-4k": mkfs(512, "mkfs.vfat", "-F", "32", "-S", "4096", "-s", "1", "-n", "ESP"),
    "fat-no-label": mkfs(16, "mkfs.vfat"),
    "fat-no-signature": overwritten(FAT16, (510, b"\0\0")),
    "fat-serial-0": mkfs(16, "mkfs.vfat", "-i", "00000000"),
    "fat-late-label": fat_with_many_files,
    "fat-boot-label-only": fat_with_label_in_the_boot_sector_only,
    "exfat": mkfs(16, "mkfs.exfat", "-L", "größer"),
    "exfat-no-label": mkfs(16, "mkfs.exfat"),
    "f2fs": mkfs(64, "mkfs.f2fs", "-q", "-l", "flash größe"),
    "f2fs-no-label": mkfs(64, "mkfs.f2fs", "-q"),
    "erofs": erofs,
    "squashfs": squashfs,
    "swap": mkfs(1, "mkswap", "-q", "-L", "swap"),
    "luks1": luks("luks1"),
    "luks2": luks("luks2"),
    "lvm": overwritten(mkfs(1, "truncate", "-s", "1M"), (512, lvm_label())),
    "md-0.90": overwritten(EXT4, (8 * MIB - 65536, md_0(8 * MIB - 65536))),
    "md-0.90-big-endian": overwritten(EXT4, (8 * MIB - 65536, md_0(8 * MIB - 65536, ">"))),
    "md-1.0": overwritten(EXT4, (8 * MIB - 8192, md_1(8 * MIB - 8192))),
    "md-1.1": overwritten(mkfs(1, "truncate", "-s", "1M"), (0, md_1(0))),
    "md-1.2": overwritten(EXT4, (4096, md_1(4096))),
    "raid-isw": overwritten(EXT4, (-1024, b"Intel Raid ISM Cfg Sig. 1.0.00")),
    "raid-lsi": overwritten(EXT4, (-512, b"$XIDE$")),
    "raid-via": overwritten(EXT4, (-512, via())),
    "raid-silicon": overwritten(EXT4, (-512, silicon())),
    "raid-jmicron": overwritten(EXT4, (-512, jmicron())),
    "raid-nvidia": overwritten(EXT4, (-1024, nvidia())),
    "raid-adaptec": overwritten(EXT4, (-512, adaptec())),
    "raid-ddf": overwritten(EXT4, (-512, b"\xde\x11\xde\x11")),
    "raid-ddf-little-endian": overwritten(EXT4, (-512, b"\x11\xde\x11\xde")),
    "raid-drbd-8": overwritten(EXT4, (-4096 + 60, b"\x83\x74\x02\x6b")),
    "raid-drbd-9": overwritten(EXT4, (-4096 + 60, b"\x83\x74\x02\x6d")),
    "noise": noise,
    "zeros": mkfs(1, "truncate", "-s", "1M"),
    "partition-table": partition_table,
    "empty": mkfs(0, "truncate", "-s", "0"),
}
