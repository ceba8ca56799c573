# SPDX-License-Identifier: MIT
"""Whatever a run was doing when it was ended: what the bootloader starts finds its image."""

import os
from pathlib import Path
from typing import Callable

import pytest
from pairs_support import PLAIN, Boot, image, killed_at, mini, unbound

from initoverlayfs.build import initramfs
from initoverlayfs.errors import Failure
from initoverlayfs.install import pairs, publish


def nothing(boot: Boot) -> None:
    boot.places.initramfs.write_bytes(PLAIN)


def one(boot: Boot) -> None:
    nothing(boot)
    boot.install("x")


def two(boot: Boot) -> None:
    one(boot)
    boot.install("y")


def overwritten_by_dracut(boot: Boot) -> None:
    two(boot)
    boot.places.initramfs.unlink()
    boot.places.initramfs.write_bytes(PLAIN)


def moved_by_hand(boot: Boot) -> None:
    """The installed pair's image has the previous one's name, and the other way round."""
    two(boot)
    os.replace(boot.places.image, boot.places.new)
    os.replace(boot.places.previous, boot.places.image)
    os.replace(boot.places.new, boot.places.previous)


def damaged(boot: Boot) -> None:
    two(boot)
    boot.places.previous.unlink()


STARTS = [nothing, one, two, overwritten_by_dracut, moved_by_hand, damaged]
Start = Callable[[Boot], None]


def hold(monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """No real syncs, which take most of the time; on vfat, no hard links."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(os, "posix_fadvise", lambda *arguments: None)
    if not links:

        def refuse(source: Path, destination: Path) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize(
    ("start", "links"), [*((start, True) for start in STARTS), (one, False), (two, False)]
)
def test_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Start, links: bool
) -> None:
    """Ended at every step, and done again: first the old pair boots, from one step on the new."""
    hold(monkeypatch, links)
    seen = []
    for step in range(1, 200):
        boot = Boot(tmp_path / str(step))
        start(boot)
        old = boot.boots()
        ended = killed_at(monkeypatch, step, boot.installing("n"))
        seen.append(boot.boots())
        assert seen[-1] in (old, "n")
        previous = boot.places.previous_initramfs  # its name may be there before it is
        if previous.exists() and previous.stat().st_size and start is not damaged:
            boot.boots(previous)
        boot.install("n")
        assert boot.boots() == "n"
        assert_tidy(boot)
        if old in ("x", "y"):
            boot.boots(boot.places.previous_initramfs)
        else:
            assert boot.places.kept.read_bytes() == PLAIN
        if not ended:
            break
    assert not ended and step > 15
    assert seen == sorted(seen, key=lambda name: name == "n") and seen[0] == old


def assert_tidy(boot: Boot) -> None:
    """Nothing but the two pairs and the plain initramfs, under their usual names."""
    usual = {"initrd", "image", "initrd.dracut", "initrd.previous", "image.previous"}
    assert usual.issuperset(boot.names())
    assert boot.places.image.read_bytes() == image(boot.boots())


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("start", [two, overwritten_by_dracut, moved_by_hand])
def test_rollback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Start, links: bool
) -> None:
    """Ended at every step; and going on from there loses neither pair."""
    hold(monkeypatch, links)
    for step in range(1, 200):
        boot = Boot(tmp_path / str(step))
        start(boot)
        old = boot.boots()
        ended = killed_at(monkeypatch, step, boot.rollback)
        now = boot.boots()
        assert now in (old, "x")
        if old == "plain":
            if now == "plain":
                pairs.rollback(boot.places)
            assert boot.boots() == "x" and boot.places.kept.read_bytes() == PLAIN
        else:
            pairs.rollback(boot.places)
            assert boot.boots() == {"x": "y", "y": "x"}[now]
            pairs.rollback(boot.places)
            assert boot.boots() == now
            assert_tidy(boot)
        if not ended:
            break
    assert not ended


def test_ended_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on after one that was ended is ended as well; also a rollback."""
    hold(monkeypatch, True)
    for first in range(1, 60, 7):
        for second in range(1, 60, 4):
            boot = Boot(tmp_path / f"{first}-{second}")
            two(boot)
            killed_at(monkeypatch, first, boot.rollback if first % 2 else boot.installing("n"))
            ended = killed_at(monkeypatch, second, boot.installing("z"))
            assert boot.boots() in "xynz"
            boot.boots(boot.places.previous_initramfs)
            if not ended:
                break


def test_the_previous_pair(tmp_path: Path) -> None:
    boot = Boot(tmp_path)
    two(boot)
    assert boot.boots() == "y" and boot.boots(boot.places.previous_initramfs) == "x"
    assert boot.places.previous.read_bytes() == image("x")
    # the very same image again, in a mini-initramfs that is another
    inode = boot.places.image.stat().st_ino
    boot.install("y", b"more")
    assert boot.places.initramfs.read_bytes() == mini("y", b"more")
    assert boot.places.image.stat().st_ino == inode
    assert boot.boots(boot.places.previous_initramfs) == "x"
    assert_tidy(boot)


def test_no_image_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot = Boot(tmp_path)
    two(boot)
    copied = []
    real = publish.copy

    def copy(source: Path, path: Path) -> None:
        if "image" in path.name:  # where there are no hard links, mini-initramfs are
            copied.append(path.name)
        real(source, path)

    monkeypatch.setattr(publish, "copy", copy)
    pairs.rollback(boot.places)
    assert copied == []
    boot.install("n")
    assert copied == [".image.new.tmp"]
    # what was built is what the previous pair has: that one is taken
    del copied[:]
    boot.install("x")
    assert copied == [] and boot.boots() == "x"
    assert boot.boots(boot.places.previous_initramfs) == "n"
    assert_tidy(boot)


def test_a_damaged_image_is_replaced(tmp_path: Path) -> None:
    """The same image is built again, and what has its id is not what was built."""
    boot = Boot(tmp_path)
    two(boot)
    data = image("y")
    for content in (data[:-1] + b"?", data[:-100]):
        boot.places.image.write_bytes(content)
        boot.install("y")
        assert boot.boots() == "y"
        assert_tidy(boot)
    assert boot.boots(boot.places.previous_initramfs) == "x"


def test_one_without_an_id_boots_the_image_of_its_name_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mini-initramfs that says nothing of an image takes the file `image`, whatever it is."""
    hold(monkeypatch, True)
    for step in range(1, 200):
        boot = Boot(tmp_path / str(step))
        boot.places.initramfs.write_bytes(unbound())
        assert initramfs.is_mini(boot.places.initramfs)
        boot.places.image.write_bytes(image("x"))
        ended = killed_at(monkeypatch, step, boot.installing("n"))
        if boot.places.initramfs.read_bytes() == unbound():
            assert boot.places.image.read_bytes() == image("x")
        else:
            assert boot.boots() == "n"
        if not ended:
            break
    assert boot.places.previous.read_bytes() == image("x")
    assert not boot.places.kept.exists()


def test_nothing_to_go_back_to(tmp_path: Path) -> None:
    boot = Boot(tmp_path)
    nothing(boot)
    with pytest.raises(Failure, match="no previous pair to go back to beside .*/initrd$"):
        pairs.rollback(boot.places)
    boot.install("x")
    before = boot.names()
    with pytest.raises(Failure, match="`mv .*/initrd.dracut .*/initrd` goes back$"):
        pairs.rollback(boot.places)
    assert boot.names() == before


@pytest.mark.parametrize("function", ["copy", "replace", "keep"])
@pytest.mark.parametrize("count", range(1, 9))
def test_an_error_leaves_nothing_lying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, count: int
) -> None:
    hold(monkeypatch, True)
    boot = Boot(tmp_path)
    two(boot)
    real = getattr(publish, function)
    calls: list[tuple[Path, ...]] = []

    def call(*pair: Path) -> None:
        calls.append(pair)
        if len(calls) == count:
            raise OSError(28, os.strerror(28), str(pair[1]))
        real(*pair)

    monkeypatch.setattr(publish, function, call)
    try:
        boot.install("n")
    except Failure as failure:
        assert "No space left on device: remove files there" in str(failure)
    assert boot.boots() in "yn"
    assert_tidy(boot)


def test_too_little_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = Boot(tmp_path)
    two(boot)
    before = boot.names()
    status = os.statvfs(tmp_path)
    fake = os.statvfs_result([4096, 4096, 1000, 100, 100, *list(status)[5:10]])
    monkeypatch.setattr(os, "statvfs", lambda path: fake)
    with pytest.raises(
        Failure, match=r"boot has 0\.4 MB free, and 1\.1 MB are needed, 0\.6 MB more: remove"
    ):
        boot.install("n")
    assert boot.names() == before and boot.boots() == "y"
