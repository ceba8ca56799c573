# SPDX-License-Identifier: MIT
"""Test pairs on a boot filesystem that another process fills during an installation.

The test fills the filesystem of its temporary directory: test_boot_filesystems.py runs it on small
ones, in user-mode Linux.
"""

import contextlib
import errno
import os
from pathlib import Path

import pytest
from pairs_support import PLAIN, Boot

from initoverlayfs.errors import Failure
from initoverlayfs.install import pairs
from initoverlayfs.install.places import Places

KIB = 1 << 10


def fill(directory: Path, left: int) -> None:
    """Fill the filesystem except for about `left` bytes."""
    hole = directory / "hole"
    _write(hole, left)
    _write(directory / "filler", 1 << 40)
    _write(directory / "rest", 1 << 40)  # blocks that the filesystem freed when a write failed
    hole.unlink()
    os.sync()


def _write(path: Path, size: int) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while size > 0:
            try:
                size -= file.write(bytes(min(size, 64 * KIB)))
            except OSError as error:
                assert error.errno == errno.ENOSPC
                while True:  # until no block is free and a write raises OSError
                    file.write(bytes(512))
    os.sync()


# The free bytes are too few for the image, for the mini-initramfs, or for the copy of the old one.
@pytest.mark.parametrize("left", [0, 200 * KIB, 1200 * KIB])
def test_boot_filesystem_fills_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """The installation fails for lack of space, changes no file, and the old pair still boots."""
    boot = Boot(tmp_path)
    boot.places.initramfs.write_bytes(PLAIN)
    for name in "xy":
        boot.install(name, os.urandom(800 * KIB))
    before = {path: path.read_bytes() for path in boot.boot.iterdir()}
    checked = pairs.require_space
    built = boot.built("z", os.urandom(800 * KIB))

    def check_then_fill(places: Places, mini: int, image: int) -> None:
        checked(places, mini, image)
        fill(tmp_path, left)

    with monkeypatch.context() as patch:
        patch.setattr(pairs, "require_space", check_then_fill)
        try:
            pairs.install(boot.places, *built)
        except Failure as failure:
            assert "No space left on device: remove files there" in str(failure)
            assert boot.boots() == "y"
            assert {path: path.read_bytes() for path in boot.boot.iterdir()} == before
        else:
            assert left > 800 * KIB and boot.boots() == "z"  # hard links need no space for a copy
    for name in ("filler", "rest"):
        (tmp_path / name).unlink(missing_ok=True)
    boot.install("z")
    assert boot.boots() == "z"
