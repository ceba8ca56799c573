# SPDX-License-Identifier: MIT
"""Putting files onto the boot filesystem so that at every moment what is there boots.

Each file is written beside its final name, synced, read back and compared; only when all of them
are there, they are renamed, in the order given, and the directories synced. Works on vfat too.
"""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from initoverlayfs.errors import Failure

# Room a filesystem needs besides its files' contents: directory entries, metadata, rounding.
SPARE = 1 << 20

_BLOCK = 1 << 20


def publish(files: Sequence[tuple[Path, Path]]) -> None:
    """Publish (source, destination) pairs. Raises Failure, and then no destination has changed.

    That no longer holds once the renames have begun; each of those is complete or has not been.
    """
    require_space(files)
    written: list[tuple[Path, Path]] = []
    try:
        for source, destination in files:
            written.append((temporary(destination), destination))
            copy(source, temporary(destination))
        for new, destination in written:
            os.replace(new, destination)
            sync_directory(destination.parent)
    except OSError as error:
        raise _failure(error, files[0][1].parent) from None
    finally:
        for new, _ in written:
            with contextlib.suppress(OSError):
                new.unlink()


def temporary(destination: Path) -> Path:
    """What a file is called until it is renamed."""
    return destination.with_name(f".{destination.name}.new")


def require_writable(directory: Path) -> None:
    """Raises Failure for a directory that is missing or lies on a read-only filesystem."""
    if not directory.is_dir():
        raise Failure(f"{directory} is no directory: make it, or mount the boot filesystem")
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        raise Failure(f"{directory} is mounted read-only: mount it read-write")


def require_space(files: Sequence[tuple[Path, Path]]) -> None:
    """Raises Failure where the files would not fit beside what is there now."""
    needed: dict[Path, int] = {}
    for source, destination in files:
        needed[destination.parent] = needed.get(destination.parent, SPARE) + source.stat().st_size
    for directory, size in needed.items():
        try:
            status = os.statvfs(directory)
        except OSError as error:
            raise _failure(error, directory) from None
        free = status.f_bavail * status.f_frsize
        if free < size:
            raise Failure(
                f"{directory} has {free / 1e6:.1f} MB free, and {size / 1e6:.1f} MB are needed:"
                " remove files there, old kernels for instance"
            )


def copy(source: Path, destination: Path) -> None:
    """Copy to a new file that only root may read, and make sure that it is on the disk."""
    with contextlib.suppress(FileNotFoundError):
        destination.unlink()  # an earlier run may have ended here
    descriptor = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as new, source.open("rb") as old:
        shutil.copyfileobj(old, new, _BLOCK)
        new.flush()
        os.fsync(new.fileno())
        # So that reading back reads the disk, not what is still in memory.
        os.posix_fadvise(new.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if sha256(destination) != sha256(source):
        raise OSError(errno.EIO, "what was read back is not what was written", str(destination))


def sha256(path: Path) -> str:
    """Of the file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sync_directory(directory: Path) -> None:
    """Have the directory's entries on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failure(error: OSError, directory: Path) -> Failure:
    what = f"{error.filename or directory}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(f"{what}: remove files there, old kernels for instance")
    if error.errno == errno.EROFS:
        return Failure(f"{what}: mount it read-write")
    return Failure(what)
