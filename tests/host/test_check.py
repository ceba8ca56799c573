# SPDX-License-Identifier: MIT
"""What --verify says of pairs that are whole, and of every kind of damage."""

import os
import re
from pathlib import Path
from typing import Callable

import pytest
from pairs_support import PLAIN, Boot, id_of, image, unbound

from initoverlayfs.inspect import check
from initoverlayfs.machine.bootfs import BootFilesystem
from initoverlayfs.target import Target
from storage_init.config.settings import Settings


def items(boot: Boot) -> "dict[str, check.Item]":
    """What is checked, by its name. loop and others are in the kernel."""
    directory = boot.directory / "usr/lib/modules/6"
    directory.mkdir(parents=True, exist_ok=True)
    built_in = "kernel/fs/erofs/erofs.ko\nkernel/fs/overlayfs/overlay.ko\nkernel/loop.ko\n"
    (directory / "modules.builtin").write_text(built_in)
    found = check.check(
        Target(boot.directory),
        "6",
        BootFilesystem("UUID=1", "ext4", "", "/boot"),
        Settings(),
        boot.places,
    )
    return {item.name: item for item in found}


@pytest.fixture
def boot(tmp_path: Path) -> Boot:
    """Two pairs."""
    boot = Boot(tmp_path)
    boot.places.initramfs.write_bytes(PLAIN)
    boot.install("x")
    boot.install("y")
    return boot


def test_all_is_well(boot: Boot) -> None:
    found = items(boot)
    assert {item.verdict for item in found.values()} == {check.OK}
    assert list(found) == [
        *("mini-initramfs", "image", "hash tree", "modules"),
        *("previous pair", "leftovers", "next boot"),
    ]
    (line,) = [str(item) for item in found.values() if item.name == "next boot"]
    assert line == f"next boot: ok: image {id_of('y')} in {boot.places.image}"


def cut_off(boot: Boot) -> None:
    boot.places.image.write_bytes(image("y")[:-1])


def swapped(boot: Boot) -> None:
    boot.places.image.write_bytes(image("z"))


def plain(boot: Boot) -> None:
    boot.places.initramfs.write_bytes(PLAIN)


def without_an_id(boot: Boot) -> None:
    boot.places.initramfs.write_bytes(unbound())


def missing(boot: Boot) -> None:
    boot.places.initramfs.unlink()


def orphaned(boot: Boot) -> None:
    boot.places.previous.unlink()


DAMAGES: "list[tuple[Callable[[Boot], None], str, str]]" = [
    (cut_off, "image", r"image has \d+ bytes, \d+ were written$"),
    (cut_off, "next boot", "no image of this mini-initramfs is there to boot"),
    (swapped, "image", f"is not there: image is {id_of('z')}, image.previous is {id_of('x')}$"),
    (plain, "mini-initramfs", "is a plain initramfs: run initoverlayfs-install -f"),
    (without_an_id, "mini-initramfs", "belongs to no image: run initoverlayfs-install -f"),
    (missing, "mini-initramfs", "no .*/initrd$"),
    (missing, "next boot", "no image of this mini-initramfs is there to boot"),
    (orphaned, "previous pair", f"belongs to image {id_of('x')}, and that is not there$"),
]


@pytest.mark.parametrize(("damage", "name", "said"), DAMAGES)
def test_damage(boot: Boot, damage: "Callable[[Boot], None]", name: str, said: str) -> None:
    damage(boot)
    item = items(boot)[name]
    assert item.verdict == check.WRONG
    assert re.search(said, item.detail), item.detail


def test_a_module_is_missing(boot: Boot) -> None:
    found = check.check(
        Target(boot.directory),
        "7",
        BootFilesystem("UUID=1", "xfs", "", "/boot"),
        Settings(),
        boot.places,
    )
    (item,) = [item for item in found if item.name == "modules"]
    assert item.verdict == check.WRONG and "lacks xfs, erofs, overlay, loop: run" in item.detail


def test_what_a_dead_run_left_is_no_damage(boot: Boot) -> None:
    os.replace(boot.places.image, boot.places.new)
    (boot.boot / ".image.new.tmp").write_bytes(b"half")
    found = items(boot)
    assert {item.verdict for item in found.values()} == {check.OK, check.NOTE}
    assert ".image.new.tmp" in found["leftovers"].detail
    assert found["image"].detail.startswith(str(boot.places.new))
