# SPDX-License-Identifier: MIT
"""Publish files on the boot filesystem atomically: complete or not at all. Supports vfat.

A file is written under a temporary name, synced, read back and compared, and renamed; no published
file is written in place. When a function here returns, its changes survive a power failure.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from initoverlayfs.digest import sha256
from initoverlayfs.errors import Failure
from initoverlayfs.install.places import temporary

# Bytes that a filesystem needs besides the content of files: directory entries, metadata, rounding.
SPARE = 1 << 20

_CHUNK = 1 << 20

# _IOW('f', 43, __u32), no flags: Documentation/filesystems/ext4
_EXT4_IOC_CHECKPOINT = 0x4004662B

# include/uapi/linux/fs.h: _IOR('f', 1, long), _IOW('f', 2, long)
_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_FS_NOCOMP_FL = 0x400


def require_writable(directory: Path) -> None:
    """Raise Failure if a directory is missing or on a filesystem that is mounted read-only."""
    if not directory.is_dir():
        raise Failure(f"{directory} is not a directory: create it, or mount the boot filesystem")
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        raise Failure(f"{directory} is mounted read-only: remount it read-write")


def require_space(required: Sequence[tuple[Path, int]]) -> None:
    """Raise Failure if files do not fit. required: directories and the bytes to write there.

    Adds up the directories on the same filesystem.
    """
    totals: dict[int, int] = {}
    directories: dict[int, Path] = {}
    for directory, size in required:
        try:
            device = directory.stat().st_dev
        except OSError as error:
            raise failure(error, directory) from None
        directories.setdefault(device, directory)
        totals[device] = totals.get(device, SPARE) + size
    for device, total in totals.items():
        status = os.statvfs(directories[device])
        free = status.f_bavail * status.f_frsize
        if free < total:
            raise Failure(
                f"not enough space on {directories[device]}: {total / 1e6:.1f} MB required,"
                f" {free / 1e6:.1f} MB free, {(total - free) / 1e6:.1f} MB short:"
                " remove files there, for example of old kernels"
            )


def write(source: Path, destination: Path) -> None:
    """Copy a file, with permissions for root only. Replaces the destination. Raises OSError."""
    copy(source, temporary(destination))
    replace(temporary(destination), destination)


def keep(source: Path, destination: Path) -> None:
    """Keep a file under a second name: a hard link, or a copy on filesystems without these."""
    stage(source, destination)
    replace(temporary(destination), destination)


def stage(source: Path, destination: Path) -> None:
    """Link or copy a file to the temporary name of a destination, for a later replace()."""
    path = temporary(destination)
    remove(path)
    if try_link(source, path):
        with source.open("rb") as file:
            os.fsync(file.fileno())  # its writer may not have done that
    else:
        copy(source, path)


def try_link(source: Path, path: Path) -> bool:
    """Make a hard link; return False if the filesystem has none. Raises OSError otherwise."""
    try:
        os.link(source, path)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            return False
        raise
    return True


def replace(source: Path, destination: Path) -> None:
    """Rename a file, over an existing one, and sync the result. Raises OSError.

    Syncs the file too: on vfat, its first cluster is written to the directory with the file's own
    inode. Keeps a replaced file open until then: otherwise its blocks would be free on the disk
    while the directory there still refers to them.
    """
    with source.open("rb") as file, contextlib.ExitStack() as stack:
        if destination.exists():
            stack.enter_context(destination.open("rb"))
            if destination.samefile(source):  # rename(2) would do nothing
                remove(source)
                return
        os.replace(source, destination)
        os.fsync(file.fileno())
        sync_directory(destination.parent)


def move(source: Path, destination: Path) -> None:
    """Rename a file that is the only one with its content; the name may be unused. Raises OSError.

    On vfat, a new name takes several directory entries, and rename(2) deletes the old ones in
    between: after a power failure, the disk may have neither name. So create an empty file of that
    name first; the rename then changes a single entry of it. Other filesystems do not need this.
    """
    if not destination.exists():
        with destination.open("xb") as file:
            os.fsync(file.fileno())
        sync_directory(destination.parent)
    replace(source, destination)


def remove(path: Path) -> None:
    """Delete a file, if it exists, and sync its directory. Raises OSError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync_directory(path.parent)


def copy(source: Path, path: Path) -> None:
    """Copy a file to a new one with permissions for root only, sync it and compare what is on disk.

    Replaces what a killed run has left under this name. Raises OSError, EIO for a difference.
    """
    remove(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    _forbid_compression(descriptor)
    with open(descriptor, "wb") as new, source.open("rb") as old:
        # In one extent if possible: then storage-init does not need device-mapper. Errors are
        # ignored: some filesystems do not support it, and without space the write fails too.
        with contextlib.suppress(OSError):
            os.posix_fallocate(descriptor, 0, source.stat().st_size)
        shutil.copyfileobj(old, new, _CHUNK)
        new.flush()
        os.fsync(new.fileno())
        # Drop the file from the page cache, so that the comparison reads the disk.
        os.posix_fadvise(new.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if sha256(path) != sha256(source):
        raise OSError(errno.EIO, "the data read back differ from those written", str(path))


def _forbid_compression(descriptor: int) -> None:
    """Have the filesystem store a file as it is, because storage-init attaches its blocks.

    No-op on filesystems without compression.
    """
    flags = bytearray(8)  # the kernel reads and writes an int, whatever the request says
    with contextlib.suppress(OSError):
        fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, flags)
        (value,) = struct.unpack_from("@i", flags)
        fcntl.ioctl(descriptor, _FS_IOC_SETFLAGS, struct.pack("@iI", value | _FS_NOCOMP_FL, 0))


def sync_directory(directory: Path) -> None:
    """Write a directory's entries to the disk. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checkpoint(directory: Path) -> None:
    """Make ext4 write the content of its journal to its final location.

    Boot loaders do not read journals: they see a file as of the last checkpoint, whose blocks may
    since belong to another file. No-op on other filesystems, and before Linux 5.15.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            fcntl.ioctl(descriptor, _EXT4_IOC_CHECKPOINT, bytes(4))
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def failures(directory: Path) -> Iterator[None]:
    """Turn every OSError within the context into a Failure that says what to do about it."""
    try:
        yield
    except OSError as error:
        raise failure(error, directory) from None


def failure(error: OSError, directory: Path) -> Failure:
    """Return the Failure for an error of writing to a directory."""
    text = f"{error.filename or directory}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(f"{text}: remove files there, for example of old kernels")
    if error.errno == errno.EROFS:
        return Failure(f"{text}: remount it read-write")
    return Failure(text)
