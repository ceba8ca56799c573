# SPDX-License-Identifier: MIT
"""Reading an initramfs: compressions, several archives, and files that are none."""

import gzip
import lzma
import subprocess
from pathlib import Path

import pytest
from pairs_support import PLAIN, mini, unbound

from harness import cpio
from initoverlayfs.build import initramfs
from initoverlayfs.errors import Failure


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress, zstd])
def test_names_of_both_archives(tmp_path: Path, compress: "type[bytes]") -> None:
    """An uncompressed archive comes first, such as microcode or a binding."""
    path = tmp_path / "initramfs"
    first = cpio.write([cpio.entry("early", b"x" * 5)]) + bytes(500)
    path.write_bytes(first + compress(unbound()))
    names = {"early", "usr/lib/initoverlayfs/modules", "usr/lib/modules/6/kernel/ext4.ko.xz"}
    assert initramfs.names(path) == names
    assert initramfs.is_mini(path) and initramfs.modules(path) == {"ext4"}


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_several_archives(tmp_path: Path, compress: "type[bytes]") -> None:
    """dracut 112 writes several, with and without padding, the last one compressed."""
    path = tmp_path / "initramfs"
    parts = [cpio.write([cpio.entry(name, b"x")]) for name in ("modules", "early", "init")]
    path.write_bytes(parts[0] + bytes(512) + parts[1] + compress(parts[2]) + bytes(40))
    found = list(initramfs.archives(path))
    assert [set(files) for files, _ in found] == [{"modules"}, {"early"}, {"init"}]
    assert [bytes(data) for _, data in found] == parts


def test_other_files_are_no_mini_initramfs(tmp_path: Path) -> None:
    path = tmp_path / "initramfs"
    assert not initramfs.is_mini(path)
    path.write_bytes(PLAIN)
    assert not initramfs.is_mini(path)


@pytest.mark.parametrize(
    "data", [b"garbage", mini("x")[:300], b"\x1f\x8bx", b"070701" + b"z" * 200]
)
def test_malformed_file_fails(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "initramfs"
    path.write_bytes(data)
    assert not initramfs.is_mini(path)
    with pytest.raises(Failure, match=": cannot be read as an initramfs: "):
        initramfs.names(path)
