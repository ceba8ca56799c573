# SPDX-License-Identifier: MIT
"""Keep built directories in a cache, under a key made from the content that they depend on."""

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

# Directories that this process uses, each with a file descriptor that holds a shared lock on it.
_used: "dict[Path, int]" = {}


def home() -> Path:
    """Return the cache directory, and make it if it does not exist.

    It is $INITOVERLAYFS_CACHE, or initoverlayfs in $XDG_CACHE_HOME or ~/.cache.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = Path(os.environ.get("INITOVERLAYFS_CACHE") or base / "initoverlayfs")
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(*parts: Union[str, Path]) -> str:
    """Return 16 hex digits of a hash of strings and of the contents of files, in this order."""
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
    """Hold an exclusive lock between processes. Waits for it without a deadline."""
    with (home() / (name + ".lock")).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def built(kind: str, key: str, build: Callable[[Path], None], keep: int = 2) -> Path:
    """Return the directory of this kind and key; if it does not exist, have build() fill it.

    The directory is renamed into place when build() succeeds. Deletes all directories of this kind
    but the `keep` used last and those in use. A directory is in use until the processes that called
    built() for it end.
    """
    with lock(kind):
        path = home() / (kind + "-" + key)
        if not path.is_dir():
            temporary = Path(tempfile.mkdtemp(prefix=".new-" + kind + "-", dir=home()))
            try:
                # mkdtemp's mode 0700 would lock out the other users of a user namespace.
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
    """Delete a directory tree, even if its files belong to users of a user namespace."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        subprocess.run(as_root(["rm", "-rf", "--one-file-system", str(path)]), check=True)
