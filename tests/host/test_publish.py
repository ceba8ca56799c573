# SPDX-License-Identifier: MIT
import errno
import os
from pathlib import Path

import pytest

from initoverlayfs import publish
from initoverlayfs.errors import Failure


def files(path: Path) -> "list[tuple[Path, Path]]":
    """Two new files to publish over two old ones."""
    boot = path / "boot"
    boot.mkdir()
    pairs = []
    for name in ("image", "mini"):
        (path / name).write_bytes(b"new " + name.encode() * 100000)
        (boot / name).write_bytes(b"old " + name.encode())
        pairs.append((path / name, boot / name))
    return pairs


def content(path: Path) -> "dict[str, bytes]":
    return {entry.name: entry.read_bytes() for entry in (path / "boot").iterdir()}


def test_both_are_replaced(tmp_path: Path) -> None:
    pairs = files(tmp_path)
    publish.publish(pairs)
    assert content(tmp_path) == {
        "image": (tmp_path / "image").read_bytes(),
        "mini": (tmp_path / "mini").read_bytes(),
    }
    assert {path.stat().st_mode & 0o777 for _, path in pairs} == {0o600}


def test_what_an_interrupted_run_left_is_no_obstacle(tmp_path: Path) -> None:
    pairs = files(tmp_path)
    (tmp_path / "boot/.image.new").write_bytes(b"half")
    publish.publish(pairs)
    assert sorted(content(tmp_path)) == ["image", "mini"]


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    pairs = files(tmp_path)
    before = content(tmp_path)
    status = os.statvfs(tmp_path)
    os.truncate(tmp_path / "image", status.f_bavail * status.f_frsize + (1 << 30))  # sparse
    with pytest.raises(
        Failure, match=r"boot has [0-9.]+ MB free, and [0-9.]+ MB are needed: remove"
    ):
        publish.publish(pairs)
    assert content(tmp_path) == before


def fail_at(monkeypatch: pytest.MonkeyPatch, function: str, count: int, number: int) -> None:
    """Have the count-th call of a function of os fail."""
    real = getattr(os, function)
    calls = []

    def call(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        if len(calls) == count:
            raise OSError(number, os.strerror(number))
        return real(*arguments, **options)

    monkeypatch.setattr(os, function, call)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_nothing_changes_when_a_sync_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, number: int
) -> None:
    pairs = files(tmp_path)
    before = content(tmp_path)
    fail_at(monkeypatch, "fsync", count, number)
    with pytest.raises(Failure, match=os.strerror(number)):
        publish.publish(pairs)
    assert content(tmp_path) == before


def test_when_a_rename_fails_every_file_is_old_or_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = files(tmp_path)
    before = content(tmp_path)
    fail_at(monkeypatch, "replace", 2, errno.EIO)
    with pytest.raises(Failure):
        publish.publish(pairs)
    after = content(tmp_path)
    assert after == {"image": (tmp_path / "image").read_bytes(), "mini": before["mini"]}


def test_what_is_read_back_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = files(tmp_path)
    before = content(tmp_path)
    real = os.posix_fadvise

    def corrupt(descriptor: int, *arguments: int) -> None:
        os.pwrite(descriptor, b"X", 5)
        real(descriptor, *arguments)

    monkeypatch.setattr(os, "posix_fadvise", corrupt)
    with pytest.raises(Failure, match="what was read back is not what was written"):
        publish.publish(pairs)
    assert content(tmp_path) == before
