# SPDX-License-Identifier: MIT
"""Directories built once and found again by the content they were made from."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, Union

from harness.privilege import as_root

# What this process uses, each with a file descriptor that holds a shared lock on it.
_used: "dict[Path, int]" = {}


def home() -> Path:
    """The cache directory, made if missing; INITOVERLAYFS_CACHE or XDG_CACHE_HOME move it."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = Path(os.environ.get("INITOVERLAYFS_CACHE") or base / "initoverlayfs")
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(*parts: Union[str, Path]) -> str:
    """A short name for these strings and files' contents, in this order."""
    total = hashlib.sha256()
    for part in parts:
        inner = hashlib.sha256()
        if isinstance(part, Path):
            with part.open("rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    inner.update(block)
        else:
            inner.update(part.encode())
        total.update(inner.digest())
    return total.hexdigest()[:16]


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """Only one process at a time between here and the end; it waits for as long as it takes."""
    with (home() / (name + ".lock")).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def built(kind: str, key: str, build: Callable[[Path], None], keep: int = 2) -> Path:
    """The directory of this kind and key; where it does not exist, build() fills it first.

    It appears complete or not at all. Of the directories of a kind the `keep` used last stay, and
    those that a process still uses: it does from here on, until it ends.
    """
    with lock(kind):
        path = home() / (kind + "-" + key)
        if not path.is_dir():
            temporary = Path(tempfile.mkdtemp(prefix=".new-" + kind + "-", dir=home()))
            try:
                # mkdtemp's 0700 would keep a user namespace's other users out
                temporary.chmod(0o755)
                build(temporary)
                temporary.rename(path)
            except BaseException:
                remove(temporary)
                raise
        os.utime(path)
        _use(path)
        others = [other for other in home().glob(kind + "-*") if other != path]
        others.sort(key=lambda other: other.stat().st_mtime, reverse=True)
        for other in others[keep - 1 :]:
            if not _in_use(other):
                remove(other)
        return path


def _use(path: Path) -> None:
    if path not in _used:
        _used[path] = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(_used[path], fcntl.LOCK_SH)


def _in_use(path: Path) -> bool:
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def remove(path: Path) -> None:
    """Delete a directory tree, also one whose files belong to a user namespace's users."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        subprocess.run(as_root(["rm", "-rf", "--one-file-system", str(path)]), check=True)
