# SPDX-License-Identifier: MIT
"""Files on the boot filesystem: the order of syncs and renames, and copies that are compared."""

import os
from pathlib import Path

import pytest
from host_support import free_space

from initoverlayfs.errors import Failure
from initoverlayfs.install import publish
from initoverlayfs.install.places import Places, temporary


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A file that has been built."""
    (tmp_path / "built").write_bytes(b"new" * 100000)
    return tmp_path / "built"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An older file, alone in the directory boot."""
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/image").write_bytes(b"old")
    return tmp_path / "boot/image"


def content(directory: Path) -> "dict[str, bytes]":
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_write_replaces_a_file(built: Path, image: Path) -> None:
    temporary(image).write_bytes(b"half")  # of a killed run
    publish.write(built, image)
    assert content(image.parent) == {"image": built.read_bytes()}
    assert image.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("links", [True, False])
def test_keep_links_or_copies(image: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr(publish, "try_link", lambda source, path: False)
    other = image.with_name("other")
    for _ in range(2):  # the second time, both names are one file
        publish.keep(image, other)
        assert content(image.parent) == {"image": b"old", "other": b"old"}
        assert image.samefile(other) == links


def test_replaced_file_stays_open_until_the_rename_is_synced(
    built: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inode = image.stat().st_ino
    expected = [path.stat().st_ino for path in (built, image.parent)]
    was_open = []
    synced = []

    def record(descriptor: int) -> None:
        files = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        was_open.append(inode in [path.stat().st_ino for path in files if path.exists()])
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", record)
    publish.replace(built, image)
    assert was_open == [True, True] and synced == expected


def test_move_creates_an_unused_name_first(
    built: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image.unlink()
    synced = []
    real = os.replace

    def replace(source: Path, destination: Path) -> None:
        assert destination.read_bytes() == b"" and image.parent.stat().st_ino in synced
        real(source, destination)

    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_ino))
    monkeypatch.setattr(os, "replace", replace)
    publish.move(built, image)
    assert image.read_bytes() == b"new" * 100000 and not built.exists()


def test_corrupted_copy_is_not_published(
    built: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.posix_fadvise

    def corrupt(descriptor: int, *arguments: int) -> None:
        os.pwrite(descriptor, b"X", 5)
        real(descriptor, *arguments)

    monkeypatch.setattr(os, "posix_fadvise", corrupt)
    with pytest.raises(OSError, match="the data read back differ from those written"):
        publish.write(built, image)
    assert image.read_bytes() == b"old"


def test_space_is_added_up_by_filesystem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "boot").mkdir()
    free_space(monkeypatch, tmp_path, 512)
    publish.require_space([(tmp_path, 1 << 19), (tmp_path / "boot", 1 << 19)])
    with pytest.raises(Failure, match="2.6 MB required, 2.1 MB free, 0.5 MB short: remove files"):
        publish.require_space([(tmp_path, 1 << 20), (tmp_path / "boot", 1 << 19)])
    other = Path("/proc")  # another filesystem
    publish.require_space([(tmp_path, 1 << 20), (other, 1 << 20)])


def test_all_names_are_different(tmp_path: Path) -> None:
    places = Places(tmp_path / "initrd.img-6", tmp_path / "initoverlayfs-6.img")
    assert len(set(places.all)) == len(places.all)
    assert {temporary(path) for path in (places.initramfs, places.new)} < set(places.all)
