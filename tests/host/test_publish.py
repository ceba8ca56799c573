# SPDX-License-Identifier: MIT
import os
from pathlib import Path

import pytest

from initoverlayfs.errors import Failure
from initoverlayfs.install import publish
from initoverlayfs.install.places import Places, temporary


def files(path: Path) -> "tuple[Path, Path]":
    """What is built, and an older one in the directory where it goes."""
    (path / "boot").mkdir()
    (path / "built").write_bytes(b"new" * 100000)
    (path / "boot/image").write_bytes(b"old")
    return path / "built", path / "boot/image"


def content(path: Path) -> "dict[str, bytes]":
    return {entry.name: entry.read_bytes() for entry in (path / "boot").iterdir()}


def test_a_file_is_replaced(tmp_path: Path) -> None:
    built, image = files(tmp_path)
    (tmp_path / "boot/.image.tmp").write_bytes(b"half")  # of a run that was killed
    publish.write(built, image)
    assert content(tmp_path) == {"image": built.read_bytes()}
    assert image.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_kept_under_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    _, image = files(tmp_path)
    if not links:
        monkeypatch.setattr(publish, "can_link", lambda source, path: False)
    other = image.with_name("other")
    for _ in range(2):  # the second time, both are the same file
        publish.keep(image, other)
        assert content(tmp_path) == {"image": b"old", "other": b"old"}
        assert image.samefile(other) == links


def test_what_is_replaced_is_open_until_its_name_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, image = files(tmp_path)
    inode = image.stat().st_ino
    expected = [path.stat().st_ino for path in (built, image.parent)]
    held = []
    synced = []

    def look(descriptor: int) -> None:
        opened = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        held.append(inode in [path.stat().st_ino for path in opened if path.exists()])
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", look)
    publish.replace(built, image)
    assert held == [True, True] and synced == expected


def test_a_free_name_is_there_before_a_file_moves_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, image = files(tmp_path)
    image.unlink()
    synced = []
    real = os.replace

    def look(source: Path, destination: Path) -> None:
        assert destination.read_bytes() == b"" and image.parent.stat().st_ino in synced
        real(source, destination)

    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_ino))
    monkeypatch.setattr(os, "replace", look)
    publish.move(built, image)
    assert image.read_bytes() == b"new" * 100000 and not built.exists()


def test_what_is_read_back_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built, image = files(tmp_path)
    real = os.posix_fadvise

    def corrupt(descriptor: int, *arguments: int) -> None:
        os.pwrite(descriptor, b"X", 5)
        real(descriptor, *arguments)

    monkeypatch.setattr(os, "posix_fadvise", corrupt)
    with pytest.raises(OSError, match="what was read back is not what was written"):
        publish.write(built, image)
    assert image.read_bytes() == b"old"


def test_room_is_asked_of_each_filesystem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "boot").mkdir()
    status = os.statvfs(tmp_path)
    two = os.statvfs_result([4096, 4096, 1000, 512, 512, *list(status)[5:10]])
    monkeypatch.setattr(os, "statvfs", lambda path: two)
    publish.require_space([(tmp_path, 1 << 19), (tmp_path / "boot", 1 << 19)])
    with pytest.raises(Failure, match="has 2.1 MB free, and 2.6 MB are needed, 0.5 MB more: rem"):
        publish.require_space([(tmp_path, 1 << 20), (tmp_path / "boot", 1 << 19)])
    other = Path("/proc")  # another filesystem
    publish.require_space([(tmp_path, 1 << 20), (other, 1 << 20)])


def test_no_two_names_are_the_same(tmp_path: Path) -> None:
    places = Places(tmp_path / "initrd.img-6", tmp_path / "initoverlayfs-6.img")
    assert len(set(places.all)) == len(places.all)
    assert {temporary(path) for path in (places.initramfs, places.new)} < set(places.all)
