# SPDX-License-Identifier: MIT
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
def test_names(tmp_path: Path, compress: "type[bytes]") -> None:
    """An uncompressed archive comes first, as of microcode or of the image's id."""
    path = tmp_path / "initramfs"
    first = cpio.write([cpio.entry("early", b"x" * 5)]) + bytes(500)
    path.write_bytes(first + compress(unbound()))
    names = {"early", "usr/lib/initoverlayfs/modules", "usr/lib/modules/6/kernel/ext4.ko.xz"}
    assert initramfs.names(path) == names
    assert initramfs.is_mini(path) and initramfs.modules(path) == {"ext4"}


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_archives_one_after_the_other(tmp_path: Path, compress: "type[bytes]") -> None:
    """As dracut 112 writes them: several, with and without padding, the last of them compressed."""
    path = tmp_path / "initramfs"
    parts = [cpio.write([cpio.entry(name, b"x")]) for name in ("modules", "early", "init")]
    path.write_bytes(parts[0] + bytes(512) + parts[1] + compress(parts[2]) + bytes(40))
    found = list(initramfs.archives(path))
    assert [set(files) for files, _ in found] == [{"modules"}, {"early"}, {"init"}]
    assert [bytes(data) for _, data in found] == parts


def test_what_is_no_mini_initramfs(tmp_path: Path) -> None:
    path = tmp_path / "initramfs"
    assert not initramfs.is_mini(path)
    path.write_bytes(PLAIN)
    assert not initramfs.is_mini(path)


@pytest.mark.parametrize(
    "data", [b"garbage", mini("x")[:300], b"\x1f\x8bx", b"070701" + b"z" * 200]
)
def test_what_cannot_be_read(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "initramfs"
    path.write_bytes(data)
    assert not initramfs.is_mini(path)
    with pytest.raises(Failure, match="cannot be read as an initramfs"):
        initramfs.names(path)
