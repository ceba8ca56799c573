# SPDX-License-Identifier: MIT
"""storage-init --identify agrees with blkid on filesystems made by the real mkfs tools."""

import os
import random
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Callable

import built
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
UUID = "01020304-0506-0708-090a-0b0c0d0e0f10"
RAW = bytes(range(1, 17))
MIB = 1 << 20
ENVIRONMENT = {
    "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
    "PYTHONPATH": str(ROOT),
    "LC_ALL": "C.UTF-8",
    "MTOOLS_SKIP_CHECK": "1",
}
# Types in blkid's output that storage-init must not identify as a filesystem.
MEMBERS = {"crypto_LUKS", "LVM2_member", "swap", "linux_raid_member"}


def run(*words: "str | Path") -> None:
    result = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, env=ENVIRONMENT, timeout=60
    )
    assert result.returncode == 0, f"{words}: {result.stderr}"


def mkfs(size: int, *words: str) -> "Callable[[Path], None]":
    def make(path: Path) -> None:
        path.touch()
        os.truncate(path, size * MIB)
        run(*words, path)

    return make


def then(make: "Callable[[Path], None]", *parts: "tuple[int, bytes]") -> "Callable[[Path], None]":
    """Overwrite parts of the file that another function makes. Negative offsets: from the end."""

    def change(path: Path) -> None:
        make(path)
        with path.open("r+b") as file:
            for at, content in parts:
                file.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
                file.write(content)

    return change


def debugfs(make: "Callable[[Path], None]", *commands: str) -> "Callable[[Path], None]":
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
    mkfs(4, "mkfs.vfat", "-F", "12", "-n", "ONLYBOOT")(path)
    data = path.read_bytes()
    at = data.rindex(b"ONLYBOOT   ")
    assert at > 512
    path.write_bytes(data[:at] + b"\xe5" + data[at + 1 :])


def luks(kind: str) -> "Callable[[Path], None]":
    def make(path: Path) -> None:
        path.touch()
        os.truncate(path, 32 * MIB)
        key = path.with_suffix(".key")
        key.write_text("key")
        options = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--disable-locks"]
        run("cryptsetup", "luksFormat", "-q", "--type", kind, *options, path, key)

    return make


def lvm_label() -> bytes:
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


def noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(MIB))


def table(path: Path) -> None:
    path.touch()
    os.truncate(path, 8 * MIB)
    subprocess.run(["sfdisk", "-q", path], input="label: gpt\n;\n", text=True, env=ENVIRONMENT)


EXT4 = mkfs(8, "mkfs.ext4", "-q", "-L", "boot", "-U", UUID)
FAT16 = mkfs(16, "mkfs.vfat", "-F", "16", "-n", "EFI BOOT", "-i", "1234abcd")

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
    "fat-no-signature": then(FAT16, (510, b"\0\0")),
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
    "lvm": then(mkfs(1, "truncate", "-s", "1M"), (512, lvm_label())),
    "md-0.90": then(EXT4, (8 * MIB - 65536, md_0(8 * MIB - 65536))),
    "md-0.90-big-endian": then(EXT4, (8 * MIB - 65536, md_0(8 * MIB - 65536, ">"))),
    "md-1.0": then(EXT4, (8 * MIB - 8192, md_1(8 * MIB - 8192))),
    "md-1.1": then(mkfs(1, "truncate", "-s", "1M"), (0, md_1(0))),
    "md-1.2": then(EXT4, (4096, md_1(4096))),
    "noise": noise,
    "zeros": mkfs(1, "truncate", "-s", "1M"),
    "partition-table": table,
    "empty": mkfs(0, "truncate", "-s", "0"),
}


def blkid(path: Path) -> "dict[str, str]":
    """Return blkid's tags; for members and swap, those that storage-init prints."""
    found = {}
    for tag in ("TYPE", "UUID", "LABEL"):
        result = subprocess.run(
            ["blkid", "-p", "-o", "value", "-s", tag, path],
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
        )
        if result.stdout:
            found[tag] = result.stdout[:-1]
    return found if found.get("TYPE", "swap") not in MEMBERS else {"TYPE": "unknown"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("identify")
    for name, make in IMAGES.items():
        make(directory / name)
    return directory


@pytest.fixture(scope="module", params=["cpython", "micropython"])
def identified(request: pytest.FixtureRequest, images: Path) -> "dict[str, dict[str, str]]":
    """name of an image -> tags from storage-init; one run for all."""
    paths = [str(images / name) for name in IMAGES]
    output = identify(request.param, *paths)
    assert output.returncode == 0 and output.stderr == ""
    found = {}
    for line in output.stdout.splitlines():
        path, _, rest = line.partition(": ")
        found[Path(path).name] = dict(re.findall(r'([A-Z]+)="([^"]*)"', rest))
    return found


def identify(interpreter: str, *paths: str) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-m", "storage_init"]
    if interpreter == "micropython":
        program = [built.program("storage-init")]
    return subprocess.run(
        [*program, "--identify", *paths],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
    )


@pytest.mark.parametrize("name", list(IMAGES))
def test_agrees_with_blkid(
    name: str, images: Path, identified: "dict[str, dict[str, str]]"
) -> None:
    assert identified[name] == blkid(images / name)


def test_known_types_are_identified(identified: "dict[str, dict[str, str]]") -> None:
    """Guard against blkid and storage-init agreeing on empty results."""
    assert identified["fat16"] == {"TYPE": "vfat", "UUID": "1234-ABCD", "LABEL": "EFI BOOT"}
    assert identified["ext4"] == {"TYPE": "ext4", "UUID": UUID, "LABEL": "boot"}
    assert identified["ext4-external-journal"] == identified["ext4"]
    assert identified["fat-late-label"]["LABEL"] == "LATE"
    unknown = {name for name, tags in identified.items() if tags == {"TYPE": "unknown"}}
    kinds = ("swap", "luks", "lvm", "md-", "noise", "zeros", "partition-table", "empty")
    assert unknown == {name for name in IMAGES if name.startswith(kinds)}


@pytest.mark.parametrize("interpreter", ["cpython", "micropython"])
def test_hostile_names_do_not_forge_output(interpreter: str, tmp_path: Path) -> None:
    path = tmp_path / 'x\ny: TYPE="'
    EXT4(path)
    label = b'a" UUID="\n\x1b\\'
    then(lambda _: None, (1144, label + bytes(16 - len(label))))(path)
    output = identify(interpreter, str(path), str(tmp_path / "absent\n"), str(tmp_path))
    assert output.returncode == 1
    plain = str(tmp_path) + "/x?y: TYPE=?"
    assert output.stdout == f'{plain}: TYPE="ext4" UUID="{UUID}" LABEL="a? UUID=????"\n'
    assert output.stderr.splitlines() == [
        f"storage-init: stat {tmp_path}/absent?: No such file or directory",
        f"storage-init: identify {tmp_path}: not a file or a block device",
    ]


def test_tools_are_installed() -> None:
    tools = ("blkid", "mkfs.exfat", "mkfs.f2fs", "cryptsetup", "mksquashfs", "mlabel", "debugfs")
    path = ENVIRONMENT["PATH"]
    assert [tool for tool in tools if not shutil.which(tool, path=path)] == []
