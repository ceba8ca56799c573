# SPDX-License-Identifier: MIT
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


def test_the_only_kernel_is_taken(tmp_path: Path) -> None:
    assert kernels.choose(tree(tmp_path, "6.12.1"), None) == "6.12.1"


def test_of_several_one_has_to_be_said(tmp_path: Path) -> None:
    target = tree(tmp_path, "6.1.1", "6.12.1")
    with pytest.raises(Failure, match="say --kver with one of 6.1.1, 6.12.1"):
        kernels.choose(target, None)
    assert kernels.choose(target, "6.1.1") == "6.1.1"


def test_a_kernel_without_modules(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="kernel 5.0 has no modules in .*; it has 6.1.1"):
        kernels.choose(tree(tmp_path, "6.1.1"), "5.0")


def test_no_kernel_at_all(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no kernel in"):
        kernels.choose(tree(tmp_path), None)


def test_the_name_is_that_of_the_file_that_is_there(tmp_path: Path) -> None:
    target = tree(tmp_path, "6.1.1")
    assert kernels.initramfs_name(target, "6.1.1") == "initramfs-6.1.1.img"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/debian_version").write_text("13\n")
    assert kernels.initramfs_name(target, "6.1.1") == "initrd.img-6.1.1"
    (tmp_path / "boot/initramfs-6.1.1.img").write_text("")
    assert kernels.initramfs_name(target, "6.1.1") == "initramfs-6.1.1.img"
