# SPDX-License-Identifier: MIT
"""Files on the boot filesystem that are there complete or not at all. Works on vfat too.

Whatever is written is written beside its final name, synced, read back and compared, and renamed.
Nothing is written in place. When a function here returns, what it did survives a power cut.
"""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from initoverlayfs.digest import sha256
from initoverlayfs.errors import Failure
from initoverlayfs.install.places import temporary

# Room a filesystem needs besides its files' contents: directory entries, metadata, rounding.
SPARE = 1 << 20

_BLOCK = 1 << 20

# Documentation/filesystems/ext4: _IOW('f', 43, __u32), no flags
_EXT4_IOC_CHECKPOINT = 0x4004662B


def require_writable(directory: Path) -> None:
    """Raises Failure for a directory that is missing or lies on a read-only filesystem."""
    if not directory.is_dir():
        raise Failure(f"{directory} is no directory: make it, or mount the boot filesystem")
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        raise Failure(f"{directory} is mounted read-only: mount it read-write")


def require_space(needs: Sequence[tuple[Path, int]]) -> None:
    """Raises Failure where so many bytes do not fit into the directories beside what is there."""
    needed: dict[int, int] = {}
    where: dict[int, Path] = {}
    for directory, size in needs:
        try:
            device = directory.stat().st_dev
        except OSError as error:
            raise failure(error, directory) from None
        where.setdefault(device, directory)
        needed[device] = needed.get(device, SPARE) + size
    for device, size in needed.items():
        status = os.statvfs(where[device])
        free = status.f_bavail * status.f_frsize
        if free < size:
            raise Failure(
                f"{where[device]} has {free / 1e6:.1f} MB free, and {size / 1e6:.1f} MB are needed,"
                f" {(size - free) / 1e6:.1f} MB more: remove files there, old kernels for instance"
            )


def write(source: Path, destination: Path) -> None:
    """Copy a file to a name that only root may read. Raises OSError."""
    copy(source, temporary(destination))
    replace(temporary(destination), destination)


def keep(source: Path, destination: Path) -> None:
    """Give a file another name beside its own: a hard link, or a copy where there are none."""
    stage(source, destination)
    replace(temporary(destination), destination)


def stage(source: Path, destination: Path) -> None:
    """The first half of keep(): all that is left to do is replace(temporary(destination), ...)."""
    path = temporary(destination)
    remove(path)
    if can_link(source, path):
        with source.open("rb") as file:
            os.fsync(file.fileno())  # whoever wrote it may not have
    else:
        copy(source, path)


def can_link(source: Path, path: Path) -> bool:
    """Make a hard link; False where the filesystem has none. Raises OSError for other reasons."""
    try:
        os.link(source, path)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            return False
        raise
    return True


def replace(source: Path, destination: Path) -> None:
    """Rename, over what is there, and have that on the disk.

    On vfat that is more than the directory. Where a renamed file begins is written with the file's
    own inode. What is replaced stays open until then: its blocks would otherwise be free on the
    disk while its name still means them.
    """
    with source.open("rb") as file, contextlib.ExitStack() as stack:
        if destination.exists():
            stack.enter_context(destination.open("rb"))
            if destination.samefile(source):  # rename(2) does nothing then
                remove(source)
                return
        os.replace(source, destination)
        os.fsync(file.fileno())
        sync_directory(destination.parent)


def move(source: Path, destination: Path) -> None:
    """replace(), where the name may be free and the file is the only one of its content.

    On vfat a new name takes several entries, and rename(2) deletes the old ones meanwhile: a disk
    that loses power may have the second without the first. So an empty file gets the name before,
    and one entry of it is all that changes then. Elsewhere that does no harm.
    """
    if not destination.exists():
        with destination.open("xb") as file:
            os.fsync(file.fileno())
        sync_directory(destination.parent)
    replace(source, destination)


def remove(path: Path) -> None:
    """Delete a file that need not be there, and have that on the disk."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync_directory(path.parent)


def copy(source: Path, path: Path) -> None:
    """Copy to a new file that only root may read, and make sure that it is on the disk."""
    remove(path)  # an earlier run may have ended here
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as new, source.open("rb") as old:
        # In one piece, if there is one: then storage-init need not have device-mapper join them.
        with contextlib.suppress(OSError):  # no way to, or no room, which writing says too
            os.posix_fallocate(descriptor, 0, source.stat().st_size)
        shutil.copyfileobj(old, new, _BLOCK)
        new.flush()
        os.fsync(new.fileno())
        # So that reading back reads the disk, not what is still in memory.
        os.posix_fadvise(new.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if sha256(path) != sha256(source):
        raise OSError(errno.EIO, "what was read back is not what was written", str(path))


def sync_directory(directory: Path) -> None:
    """Have the directory's entries on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checkpoint(directory: Path) -> None:
    """Have ext4 write what is in its journal to its place: bootloaders do not read journals.

    To them a file is what it was at the last checkpoint, and its blocks may be another's since.
    Does nothing on other filesystems, and on Linux before 5.15.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            fcntl.ioctl(descriptor, _EXT4_IOC_CHECKPOINT, bytes(4))
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def failures(directory: Path) -> Iterator[None]:
    """Every OSError within becomes a Failure that says what to do about it."""
    try:
        yield
    except OSError as error:
        raise failure(error, directory) from None


def failure(error: OSError, directory: Path) -> Failure:
    """The Failure for an error while writing there."""
    what = f"{error.filename or directory}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(f"{what}: remove files there, old kernels for instance")
    if error.errno == errno.EROFS:
        return Failure(f"{what}: mount it read-write")
    return Failure(what)
