# SPDX-License-Identifier: MIT
"""The cache of the harness: eviction, and builds that fail."""

import os
from pathlib import Path

import pytest

from harness import cache


def kept(directory: Path) -> "set[str]":
    return {path.name for path in directory.iterdir() if path.is_dir()}


def end(keys: str) -> None:
    """Release entries, as the end of the process that uses them does."""
    for path in [path for path in cache._used if path.name[-1] in keys]:
        os.close(cache._used.pop(path))


def test_two_latest_entries_and_those_in_use_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INITOVERLAYFS_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "_used", {})
    for number, key in enumerate("abcd"):
        path = cache.built("kind", key, lambda directory: None)
        os.utime(path, (number, number))
    assert kept(tmp_path) == {"kind-a", "kind-b", "kind-c", "kind-d"}
    end("abc")
    cache.built("kind", "e", lambda directory: None)
    assert kept(tmp_path) == {"kind-d", "kind-e"}
    end("de")
    cache.built("kind", "f", lambda directory: None)
    assert kept(tmp_path) == {"kind-e", "kind-f"}
    end("f")


def test_failed_build_leaves_no_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INITOVERLAYFS_CACHE", str(tmp_path))

    def fail(directory: Path) -> None:
        (directory / "file").write_text("")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        cache.built("kind", "a", fail)
    assert kept(tmp_path) == set()
