# SPDX-License-Identifier: MIT
"""The exchange of pairs: wherever a run is killed, the loaded mini-initramfs finds its image."""

import os
from functools import partial
from pathlib import Path
from typing import Callable

import pytest
from host_support import free_space
from pairs_support import PLAIN, Boot, image, killed_at, mini, unbound

from initoverlayfs.build import initramfs
from initoverlayfs.errors import Failure
from initoverlayfs.install import pairs, publish

# More steps than any run has.
LIMIT = 200


def plain(boot: Boot) -> None:
    boot.places.initramfs.write_bytes(PLAIN)


def one(boot: Boot) -> None:
    plain(boot)
    boot.install("x")


def two(boot: Boot) -> None:
    one(boot)
    boot.install("y")


def overwritten_by_dracut(boot: Boot) -> None:
    two(boot)
    boot.places.initramfs.unlink()
    boot.places.initramfs.write_bytes(PLAIN)


def swapped_by_hand(boot: Boot) -> None:
    """The current image has the name of the previous one, and vice versa."""
    two(boot)
    os.replace(boot.places.image, boot.places.new)
    os.replace(boot.places.previous, boot.places.image)
    os.replace(boot.places.new, boot.places.previous)


def without_previous_image(boot: Boot) -> None:
    two(boot)
    boot.places.previous.unlink()


STARTS = [plain, one, two, overwritten_by_dracut, swapped_by_hand, without_previous_image]
Start = Callable[[Boot], None]


def speed_up(monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """Skip real syncs, which take most of the time. links: False: no hard links, as on vfat."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(os, "posix_fadvise", lambda *arguments: None)
    if not links:

        def refuse(source: Path, destination: Path) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize(
    ("start", "links"), [*((start, True) for start in STARTS), (one, False), (two, False)]
)
def test_install_killed_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Start, links: bool
) -> None:
    """The old pair boots before the commit point, the new one after it and after a second run."""
    speed_up(monkeypatch, links)
    booted = []
    for step in range(1, LIMIT):
        boot = Boot(tmp_path / str(step))
        start(boot)
        old = boot.boots()
        killed = killed_at(monkeypatch, step, partial(boot.install, "n"))
        booted.append(boot.boots())
        assert booted[-1] in (old, "n")
        previous = boot.places.previous_initramfs  # an empty file reserves its name
        if previous.exists() and previous.stat().st_size and start is not without_previous_image:
            boot.boots(previous)
        boot.install("n")
        assert boot.boots() == "n"
        assert_tidy(boot)
        if old in ("x", "y"):
            boot.boots(boot.places.previous_initramfs)
        else:
            assert boot.places.plain_initramfs.read_bytes() == PLAIN
        if not killed:
            break
    assert not killed and step > 15
    assert booted == sorted(booted, key=lambda name: name == "n") and booted[0] == old


def assert_tidy(boot: Boot) -> None:
    """Only two pairs and the plain initramfs are there, under their usual names."""
    usual = {"initrd", "image", "initrd.dracut", "initrd.previous", "image.previous"}
    assert usual.issuperset(boot.names())
    assert boot.places.image.read_bytes() == image(boot.boots())


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("start", [two, overwritten_by_dracut, swapped_by_hand])
def test_rollback_killed_at_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Start, links: bool
) -> None:
    """After a killed rollback, one of the pairs boots, and further rollbacks lose neither pair."""
    speed_up(monkeypatch, links)
    for step in range(1, LIMIT):
        boot = Boot(tmp_path / str(step))
        start(boot)
        old = boot.boots()
        killed = killed_at(monkeypatch, step, boot.rollback)
        current = boot.boots()
        assert current in (old, "x")
        if old == "plain":
            if current == "plain":
                pairs.rollback(boot.places)
            assert boot.boots() == "x" and boot.places.plain_initramfs.read_bytes() == PLAIN
        else:
            pairs.rollback(boot.places)
            assert boot.boots() == {"x": "y", "y": "x"}[current]
            pairs.rollback(boot.places)
            assert boot.boots() == current
            assert_tidy(boot)
        if not killed:
            break
    assert not killed


def test_recovering_run_is_killed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a killed installation or rollback, a second run is killed at some step."""
    speed_up(monkeypatch, True)
    for first in range(1, 60, 7):
        for second in range(1, 60, 4):
            boot = Boot(tmp_path / f"{first}-{second}")
            two(boot)
            action = boot.rollback if first % 2 else partial(boot.install, "n")
            killed_at(monkeypatch, first, action)
            killed = killed_at(monkeypatch, second, partial(boot.install, "z"))
            assert boot.boots() in "xynz"
            boot.boots(boot.places.previous_initramfs)
            if not killed:
                break


def test_previous_pair_is_kept(tmp_path: Path) -> None:
    boot = Boot(tmp_path)
    two(boot)
    assert boot.boots() == "y" and boot.boots(boot.places.previous_initramfs) == "x"
    assert boot.places.previous.read_bytes() == image("x")
    # The same image again, with another mini-initramfs: the previous pair stays.
    inode = boot.places.image.stat().st_ino
    boot.install("y", b"more")
    assert boot.places.initramfs.read_bytes() == mini("y", b"more")
    assert boot.places.image.stat().st_ino == inode
    assert boot.boots(boot.places.previous_initramfs) == "x"
    assert_tidy(boot)


def test_existing_image_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot = Boot(tmp_path)
    two(boot)
    copied = []
    real = publish.copy

    def copy(source: Path, path: Path) -> None:
        if "image" in path.name:  # on filesystems without hard links, mini-initramfs are copied
            copied.append(path.name)
        real(source, path)

    monkeypatch.setattr(publish, "copy", copy)
    pairs.rollback(boot.places)
    assert copied == []
    boot.install("n")
    assert copied == [".image.new.tmp"]
    # The image of the previous pair is built again.
    del copied[:]
    boot.install("x")
    assert copied == [] and boot.boots() == "x"
    assert boot.boots(boot.places.previous_initramfs) == "n"
    assert_tidy(boot)


def test_damaged_image_is_replaced(tmp_path: Path) -> None:
    """The image is built again, and the existing file with its ID differs or is truncated."""
    boot = Boot(tmp_path)
    two(boot)
    data = image("y")
    for content in (data[:-1] + b"?", data[:-100]):
        boot.places.image.write_bytes(content)
        boot.install("y")
        assert boot.boots() == "y"
        assert_tidy(boot)
    assert boot.boots(boot.places.previous_initramfs) == "x"


def test_mini_initramfs_without_binding_keeps_its_image_until_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a binding, a mini-initramfs boots the file `image`, whatever its ID."""
    speed_up(monkeypatch, True)
    for step in range(1, LIMIT):
        boot = Boot(tmp_path / str(step))
        boot.places.initramfs.write_bytes(unbound())
        assert initramfs.is_mini(boot.places.initramfs)
        boot.places.image.write_bytes(image("x"))
        killed = killed_at(monkeypatch, step, partial(boot.install, "n"))
        if boot.places.initramfs.read_bytes() == unbound():
            assert boot.places.image.read_bytes() == image("x")
        else:
            assert boot.boots() == "n"
        if not killed:
            break
    assert boot.places.previous.read_bytes() == image("x")
    assert not boot.places.plain_initramfs.exists()


def test_no_pair_to_roll_back_to_fails(tmp_path: Path) -> None:
    boot = Boot(tmp_path)
    plain(boot)
    with pytest.raises(Failure, match="cannot roll back .*/initrd: there is no previous pair$"):
        pairs.rollback(boot.places)
    boot.install("x")
    before = boot.names()
    with pytest.raises(Failure, match="without initoverlayfs, run `mv .*/initrd.dracut .*/initrd`"):
        pairs.rollback(boot.places)
    assert boot.names() == before


@pytest.mark.parametrize("function", ["copy", "replace", "keep"])
@pytest.mark.parametrize("count", range(1, 9))
def test_error_leaves_no_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, count: int
) -> None:
    speed_up(monkeypatch, True)
    boot = Boot(tmp_path)
    two(boot)
    real = getattr(publish, function)
    calls: list[tuple[Path, ...]] = []

    def call(*paths: Path) -> None:
        calls.append(paths)
        if len(calls) == count:
            raise OSError(28, os.strerror(28), str(paths[1]))
        real(*paths)

    monkeypatch.setattr(publish, function, call)
    try:
        boot.install("n")
    except Failure as failure:
        assert "No space left on device: remove files there" in str(failure)
    assert boot.boots() in "yn"
    assert_tidy(boot)


def test_space_is_checked_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = Boot(tmp_path)
    two(boot)
    before = boot.names()
    free_space(monkeypatch, tmp_path, 100)
    reason = r"not enough space on .*/boot: 1\.1 MB required, 0\.4 MB free, 0\.6 MB short: remove"
    with pytest.raises(Failure, match=reason):
        boot.install("n")
    assert boot.names() == before and boot.boots() == "y"
