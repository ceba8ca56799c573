# SPDX-License-Identifier: MIT
"""--verify: the results for intact pairs and for each kind of damage."""

import os
import re
from pathlib import Path
from typing import Callable

import pytest
from pairs_support import PLAIN, Boot, id_of, image, unbound

from initoverlayfs.inspect import check
from initoverlayfs.install.commands import Installation
from initoverlayfs.machine.bootfs import BootFilesystem
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target


def checked(boot: Boot, release: str = "6", fstype: str = "ext4") -> "dict[str, check.Item]":
    """Return name -> result of all checks. erofs, overlay and loop are built into Linux 6."""
    directory = boot.directory / "usr/lib/modules/6"
    directory.mkdir(parents=True, exist_ok=True)
    built_in = "kernel/fs/erofs/erofs.ko\nkernel/fs/overlayfs/overlay.ko\nkernel/loop.ko\n"
    (directory / "modules.builtin").write_text(built_in)
    filesystem = BootFilesystem("UUID=1", fstype, "", "/boot")
    installation = Installation(release, filesystem, InstallSettings(), boot.places)
    return {item.name: item for item in check.check(Target(boot.directory), installation)}


@pytest.fixture
def boot(tmp_path: Path) -> Boot:
    """A boot filesystem with two pairs."""
    boot = Boot(tmp_path)
    boot.places.initramfs.write_bytes(PLAIN)
    boot.install("x")
    boot.install("y")
    return boot


def test_intact_pairs(boot: Boot) -> None:
    found = checked(boot)
    assert {item.verdict for item in found.values()} == {check.OK}
    assert list(found) == [
        *("mini-initramfs", "image", "hash tree", "modules"),
        *("previous pair", "leftovers", "next boot"),
    ]
    assert str(found["next boot"]) == f"next boot: ok: image {id_of('y')} in {boot.places.image}"


def truncated_image(boot: Boot) -> None:
    boot.places.image.write_bytes(image("y")[:-1])


def another_image(boot: Boot) -> None:
    boot.places.image.write_bytes(image("z"))


def plain_initramfs(boot: Boot) -> None:
    boot.places.initramfs.write_bytes(PLAIN)


def no_binding(boot: Boot) -> None:
    boot.places.initramfs.write_bytes(unbound())


def no_initramfs(boot: Boot) -> None:
    boot.places.initramfs.unlink()


def no_previous_image(boot: Boot) -> None:
    boot.places.previous.unlink()


DAMAGES: "list[tuple[Callable[[Boot], None], str, str]]" = [
    (truncated_image, "image", r"image has \d+ bytes instead of \d+: run initoverlayfs-install -f"),
    (truncated_image, "next boot", "the mini-initramfs has no image to boot: run"),
    (another_image, "image", f" not found: image is {id_of('z')}, image.previous is {id_of('x')}"),
    (plain_initramfs, "mini-initramfs", "is a plain initramfs: run initoverlayfs-install -f"),
    (no_binding, "mini-initramfs", "has no binding to an image: run initoverlayfs-install -f"),
    (no_initramfs, "mini-initramfs", "/initrd does not exist: run initoverlayfs-install -f"),
    (no_initramfs, "next boot", "the mini-initramfs has no image to boot: run"),
    (no_previous_image, "previous pair", f"belongs to image {id_of('x')}, which does not exist$"),
]


@pytest.mark.parametrize(("damage", "name", "detail"), DAMAGES)
def test_damage(boot: Boot, damage: "Callable[[Boot], None]", name: str, detail: str) -> None:
    damage(boot)
    item = checked(boot)[name]
    assert item.verdict == check.WRONG
    assert re.search(detail, item.detail), item.detail


def test_missing_modules(boot: Boot) -> None:
    item = checked(boot, release="7", fstype="xfs")["modules"]
    assert item.verdict == check.WRONG and "lacks xfs, erofs, overlay, loop: run" in item.detail


def test_files_of_a_killed_run_are_no_damage(boot: Boot) -> None:
    os.replace(boot.places.image, boot.places.new)
    (boot.boot / ".image.new.tmp").write_bytes(b"half")
    found = checked(boot)
    assert {item.verdict for item in found.values()} == {check.OK, check.NOTE}
    assert ".image.new.tmp" in found["leftovers"].detail
    assert found["image"].detail.startswith(str(boot.places.new))
