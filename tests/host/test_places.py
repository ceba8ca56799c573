# SPDX-License-Identifier: MIT
"""Where things go on /boot, and whether there is room for them, before anything is built."""

import os
from pathlib import Path

import pytest
from pairs_support import PLAIN, Boot

from initoverlayfs.errors import Failure
from initoverlayfs.install import commands, places
from initoverlayfs.machine.bootfs import BootFilesystem
from initoverlayfs.target import Target
from storage_init.config.settings import Settings

BOOT = BootFilesystem("UUID=1", "ext4", "", "/boot")


def settings(text: str) -> Settings:
    found = Settings()
    found.read_configuration(text)
    return found


def test_names(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/initrd.img-6").touch()
    found = places.find(Target(tmp_path), "6", BOOT, Settings())
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


def test_an_image_elsewhere(tmp_path: Path) -> None:
    """With / as its filesystem, the image may have any name in it."""
    boot = BootFilesystem("UUID=1", "ext4", "", "/")
    found = places.find(Target(tmp_path), "6", boot, settings("fs /images/%v\n"))
    assert found.image == tmp_path / "images/6"
    assert found.initramfs == tmp_path / "boot/initramfs-6.img"


def test_an_image_that_is_a_partition(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="says `fs -`, the image itself is a partition"):
        places.find(Target(tmp_path), "6", BOOT, settings("fs -\n"))


@pytest.mark.parametrize("installed", [True, False])
def test_too_little_room_for_what_is_there_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    boot = Boot(tmp_path)
    boot.places.initramfs.write_bytes(PLAIN + bytes(1 << 20))
    if installed:
        boot.install("x")
    commands.require_place(boot.places)
    fake = os.statvfs_result([4096, 4096, 9999, 200, 200, *list(os.statvfs(tmp_path))[5:10]])
    monkeypatch.setattr(os, "statvfs", lambda path: fake)
    with pytest.raises(Failure, match=r"boot has 0\.8 MB free, and [0-9.]+ MB are needed"):
        commands.require_place(boot.places)
