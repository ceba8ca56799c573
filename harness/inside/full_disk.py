# SPDX-License-Identifier: MIT
"""A boot filesystem that another process fills while a pair is written to it.

Not for a filesystem that anybody else needs: test_boot_filesystems.py runs these on small ones.
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
    """Take all room but for so many bytes, as far as the filesystem can tell."""
    hole = directory / "hole"
    _write(hole, left)
    _write(directory / "filler", 1 << 40)
    _write(directory / "rest", 1 << 40)  # what was given back when the last write failed
    hole.unlink()
    os.sync()


def _write(path: Path, size: int) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while size > 0:
            try:
                size -= file.write(bytes(min(size, 64 * KIB)))
            except OSError as error:
                assert error.errno == errno.ENOSPC
                while True:  # until not one block fits
                    file.write(bytes(512))
    os.sync()


# bytes left: for no image; for no mini-initramfs; for no copy of the one that is there
@pytest.mark.parametrize("left", [0, 200 * KIB, 1200 * KIB])
def test_it_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    """What was there boots, nothing else is left, and it says that there is no room."""
    boot = Boot(tmp_path)
    boot.places.initramfs.write_bytes(PLAIN)
    for name in "xy":
        boot.install(name, os.urandom(800 * KIB))
    before = {path: path.read_bytes() for path in boot.boot.iterdir()}
    checked = pairs.require_space
    built = boot.built("z", os.urandom(800 * KIB))

    def eaten(places: Places, mini: int, image: int) -> None:
        checked(places, mini, image)
        fill(tmp_path, left)

    with monkeypatch.context() as patch:
        patch.setattr(pairs, "require_space", eaten)
        try:
            pairs.install(boot.places, *built)
        except Failure as failure:
            assert "No space left on device: remove files there" in str(failure)
            assert boot.boots() == "y"
            assert {path: path.read_bytes() for path in boot.boot.iterdir()} == before
        else:
            assert left > 800 * KIB and boot.boots() == "z"  # with hard links, there is no copy
    for name in ("filler", "rest"):
        (tmp_path / name).unlink(missing_ok=True)
    boot.install("z")
    assert boot.boots() == "z"
