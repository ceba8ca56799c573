# SPDX-License-Identifier: MIT
"""The names of one kernel's files."""

from pathlib import Path

import pytest
from host_support import settings

from initoverlayfs.errors import Failure
from initoverlayfs.install import places
from initoverlayfs.machine.bootfs import BootFilesystem
from initoverlayfs.target import Target

BOOT = BootFilesystem("UUID=1", "ext4", "", "/boot")


def test_names_follow_the_existing_initramfs(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/initrd.img-6").touch()
    found = places.find(Target(tmp_path), "6", BOOT, settings())
    names = [str(path.relative_to(tmp_path)) for path in found.all]
    assert names == [
        "boot/initrd.img-6",
        "boot/initrd.img-6.previous",
        "boot/initrd.img-6.dracut",
        "boot/.initrd.img-6.outgoing",
        "boot/initoverlayfs-6.img",
        "boot/initoverlayfs-6.img.new",
        "boot/initoverlayfs-6.img.previous",
        "boot/.initrd.img-6.tmp",
        "boot/.initrd.img-6.dracut.tmp",
        "boot/.initrd.img-6.previous.tmp",
        "boot/.initrd.img-6.outgoing.tmp",
        "boot/.initoverlayfs-6.img.new.tmp",
    ]


def test_image_may_be_outside_boot_on_the_root_filesystem(tmp_path: Path) -> None:
    boot = BootFilesystem("UUID=1", "ext4", "", "/")
    found = places.find(Target(tmp_path), "6", boot, settings("fs /images/%v\n"))
    assert found.image == tmp_path / "images/6"
    assert found.initramfs == tmp_path / "boot/initramfs-6.img"


def test_image_on_a_partition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"sets `fs -` \(the image is a partition\), which"):
        places.find(Target(tmp_path), "6", BOOT, settings("fs -\n"))
