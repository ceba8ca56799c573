# SPDX-License-Identifier: MIT
"""The choice of a kernel, and the name of its initramfs."""

from pathlib import Path

import pytest

from initoverlayfs.errors import Failure
from initoverlayfs.machine import kernels
from initoverlayfs.target import Target


def tree(path: Path, *releases: str) -> Target:
    for release in releases:
        directory = path / "usr/lib/modules" / release
        directory.mkdir(parents=True)
        (directory / "modules.dep").write_text("")
    (path / "usr/lib/modules/empty").mkdir(parents=True, exist_ok=True)
    (path / "boot").mkdir()
    return Target(path)


def test_only_kernel_is_chosen(tmp_path: Path) -> None:
    assert kernels.choose(tree(tmp_path, "6.12.1"), None) == "6.12.1"


def test_several_kernels_require_kver(tmp_path: Path) -> None:
    target = tree(tmp_path, "6.1.1", "6.12.1")
    with pytest.raises(
        Failure, match="several kernels in .*: choose one with --kver: 6.1.1, 6.12.1"
    ):
        kernels.choose(target, None)
    assert kernels.choose(target, "6.1.1") == "6.1.1"


def test_kernel_without_modules_fails(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="kernel 5.0 has no modules in .*: choose one of 6.1.1"):
        kernels.choose(tree(tmp_path, "6.1.1"), "5.0")


def test_no_kernel_fails(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no kernel with a modules.dep in"):
        kernels.choose(tree(tmp_path), None)


def test_existing_initramfs_keeps_its_name(tmp_path: Path) -> None:
    target = tree(tmp_path, "6.1.1")
    assert kernels.initramfs_name(target, "6.1.1") == "initramfs-6.1.1.img"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/debian_version").write_text("13\n")
    assert kernels.initramfs_name(target, "6.1.1") == "initrd.img-6.1.1"
    (tmp_path / "boot/initramfs-6.1.1.img").write_text("")
    assert kernels.initramfs_name(target, "6.1.1") == "initramfs-6.1.1.img"
