# SPDX-License-Identifier: MIT
"""Which modules a kernel unpacks by itself, and the unpacking of the others."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from initoverlayfs.build import module_files

SELF = "CONFIG_MODULE_DECOMPRESS=y\n"


def asked(directory: Path, text: str) -> "set[str]":
    (directory / "config").write_text(text)
    return module_files.unpacked_by_kernel(directory, "6", directory / "boot")


def test_by_the_configuration(tmp_path: Path) -> None:
    assert asked(tmp_path, "CONFIG_MODULE_COMPRESS_XZ=y\n" + SELF) == {".xz"}
    assert asked(tmp_path, SELF + "CONFIG_MODULE_COMPRESS_ZSTD=y\n") == {".zst"}
    assert asked(tmp_path, "CONFIG_MODULE_COMPRESS_ZSTD=y\n") == set()
    assert asked(tmp_path, SELF + "# CONFIG_MODULE_COMPRESS_GZIP is not set\n") == set()


def test_where_the_configuration_is(tmp_path: Path) -> None:
    boot = tmp_path / "boot"
    boot.mkdir()
    assert module_files.unpacked_by_kernel(tmp_path, "6", boot) == set()
    (boot / "config-6").write_text("CONFIG_MODULE_COMPRESS_GZIP=y\n" + SELF)
    assert module_files.unpacked_by_kernel(tmp_path, "6", boot) == {".gz"}
    assert asked(tmp_path, "") == set(), "the kernel's own directory comes first"


def test_unpacking(tmp_path: Path) -> None:
    (tmp_path / "a.ko").write_bytes(b"a")
    (tmp_path / "b.ko.gz").write_bytes(gzip.compress(b"b"))
    module_files.unpack(tmp_path, ["a.ko", "b.ko.gz"])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.ko": b"a",
        "b.ko": b"b",
    }


def test_all_below_a_directory(tmp_path: Path) -> None:
    (tmp_path / "kernel/fs").mkdir(parents=True)
    (tmp_path / "kernel/fs/a.ko.gz").write_bytes(gzip.compress(b"a"))
    (tmp_path / "modules.order").write_bytes(b"kernel/fs/a.ko")
    subprocess.run(
        [sys.executable, "-m", "initoverlayfs.build.module_files", str(tmp_path)], check=True
    )
    assert module_files.found(tmp_path) == ["kernel/fs/a.ko"]
    assert (tmp_path / "kernel/fs/a.ko").read_bytes() == b"a"


def test_a_damaged_module_ends_the_build(tmp_path: Path) -> None:
    (tmp_path / "a.ko.xz").write_bytes(b"damaged")
    with pytest.raises(subprocess.CalledProcessError):
        module_files.unpack(tmp_path, ["a.ko.xz"])
