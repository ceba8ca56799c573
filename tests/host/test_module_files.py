# SPDX-License-Identifier: MIT
"""Compressed modules: those that a kernel decompresses itself, and decompressing the others."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from initoverlayfs.build import module_files

DECOMPRESS = "CONFIG_MODULE_DECOMPRESS=y\n"


def decompressed_by_kernel(directory: Path, text: str) -> "set[str]":
    (directory / "config").write_text(text)
    return module_files.kernel_decompresses(directory, "6", directory / "boot")


def test_kernel_configuration_decides(tmp_path: Path) -> None:
    assert decompressed_by_kernel(tmp_path, "CONFIG_MODULE_COMPRESS_XZ=y\n" + DECOMPRESS) == {".xz"}
    assert decompressed_by_kernel(tmp_path, DECOMPRESS + "CONFIG_MODULE_COMPRESS_ZSTD=y\n") == {
        ".zst"
    }
    assert decompressed_by_kernel(tmp_path, "CONFIG_MODULE_COMPRESS_ZSTD=y\n") == set()
    assert (
        decompressed_by_kernel(tmp_path, DECOMPRESS + "# CONFIG_MODULE_COMPRESS_GZIP is not set\n")
        == set()
    )


def test_kernel_configuration_is_found_beside_the_modules_or_in_boot(tmp_path: Path) -> None:
    boot = tmp_path / "boot"
    boot.mkdir()
    assert module_files.kernel_decompresses(tmp_path, "6", boot) == set()
    (boot / "config-6").write_text("CONFIG_MODULE_COMPRESS_GZIP=y\n" + DECOMPRESS)
    assert module_files.kernel_decompresses(tmp_path, "6", boot) == {".gz"}
    assert decompressed_by_kernel(tmp_path, "") == set(), "the one beside the modules comes first"


def test_decompress_replaces_compressed_modules(tmp_path: Path) -> None:
    (tmp_path / "a.ko").write_bytes(b"a")
    (tmp_path / "b.ko.gz").write_bytes(gzip.compress(b"b"))
    module_files.decompress(tmp_path, ["a.ko", "b.ko.gz"])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.ko": b"a",
        "b.ko": b"b",
    }


def test_program_decompresses_all_modules_below_a_directory(tmp_path: Path) -> None:
    (tmp_path / "kernel/fs").mkdir(parents=True)
    (tmp_path / "kernel/fs/a.ko.gz").write_bytes(gzip.compress(b"a"))
    (tmp_path / "modules.order").write_bytes(b"kernel/fs/a.ko")
    subprocess.run(
        [sys.executable, "-m", "initoverlayfs.build.module_files", str(tmp_path)], check=True
    )
    assert module_files.find(tmp_path) == ["kernel/fs/a.ko"]
    assert (tmp_path / "kernel/fs/a.ko").read_bytes() == b"a"


def test_damaged_module_fails(tmp_path: Path) -> None:
    (tmp_path / "a.ko.xz").write_bytes(b"damaged")
    with pytest.raises(subprocess.CalledProcessError):
        module_files.decompress(tmp_path, ["a.ko.xz"])
