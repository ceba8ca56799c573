# SPDX-License-Identifier: MIT
"""Read and prepend the cpio archives of an initramfs file, without dracut's lsinitrd.

Source of the format: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import contextlib
import gzip
import lzma
import mmap
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Union

from initoverlayfs.errors import Failure

# newc and newc with checksums: a header of ASCII, with 8 hexadecimal digits a field.
_MAGICS = (b"070701", b"070702")
_HEADER = 110
_FILE_SIZE = 54
_NAME_SIZE = 94
_TRAILER = "TRAILER!!!"

# A file of this name tells lsinitrd that the archive is an early one, such as microcode: it
# continues with the next archive.
EARLY = "early_cpio"

# Magic number of a compressed archive -> the program that decompresses it; for those that Python's
# library lacks.
_PROGRAMS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4", b"\x89LZO": "lzop"}

# Every mini-initramfs contains one of these files, and no other initramfs does.
_MINI_FILES = {"usr/lib/initoverlayfs/modules", "usr/lib/systemd/system/pre-initoverlayfs.service"}


def is_mini(path: Path) -> bool:
    """Return whether a file is a mini-initramfs; False if it cannot be read as an initramfs."""
    try:
        return not _MINI_FILES.isdisjoint(names(path))
    except Failure:
        return False


def names(path: Path) -> set[str]:
    """Return the names of all files in an initramfs, without a leading /. Raises Failure."""
    return set(sizes(path))


def sizes(path: Path) -> dict[str, int]:
    """Return name -> size in bytes of all files in an initramfs. Raises Failure."""
    found: dict[str, int] = {}
    for files, _ in archives(path):
        found.update((name, len(content)) for name, content in files.items())
    return found


def archives(path: Path) -> Iterator[tuple[dict[str, memoryview], memoryview]]:
    """Yield (name -> content, uncompressed archive) for each cpio archive of an initramfs.

    dracut before 112 writes one archive after an optional early one, dracut 112 writes several, and
    the kernel accepts any number in any order. Raises Failure.
    """
    with _failures(path):
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        while data:
            if data[:6] not in _MAGICS:
                data = memoryview(_decompress(data))
            files, end = _parse_archive(data)
            if end == 0:
                raise ValueError("no cpio archive")
            yield files, data[:end]
            while end < len(data) and data[end] == 0:
                end += 1
            data = data[end:]


def first_archive(path: Path) -> dict[str, bytes]:
    """Return name -> content of the first archive of an initramfs. Raises Failure.

    Does not decompress: the result is empty if the first archive is compressed.
    """
    with _failures(path):
        files, _ = _parse_archive(path.read_bytes())
        return {name: bytes(content) for name, content in files.items()}


def prepend(archive: bytes, initramfs: bytes) -> bytes:
    """Return an initramfs with the files of an uncompressed archive before its own.

    lsinitrd skips one early archive only: if the initramfs starts with one, both become one.
    """
    if EARLY in _parse_archive(initramfs)[0]:
        archive = archive[: archive.rindex(_TRAILER.encode()) - _HEADER]
    return archive + initramfs


@contextlib.contextmanager
def _failures(path: Path) -> Iterator[None]:
    """Turn errors of reading into Failure."""
    try:
        yield
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    except (ValueError, EOFError, lzma.LZMAError) as error:
        raise Failure(f"{path}: cannot be read as an initramfs: {error}") from None


def modules(path: Path) -> set[str]:
    """Return the kernel modules in an initramfs, by the kernel's names. Raises Failure."""
    return set(module_names(names(path)))


def module_names(files: set[str]) -> Iterator[str]:
    """Yield the kernel's names of the modules among these files."""
    for name in files:
        stem, dot, _ = name.rpartition("/")[2].partition(".ko")
        if dot:
            yield stem.replace("-", "_")


def _parse_archive(data: Union[bytes, memoryview]) -> tuple[dict[str, memoryview], int]:
    """Return name -> content of the archive at the start of the data, and its end.

    The end is 0 if there is no uncompressed archive. Raises ValueError for a malformed one.
    """
    found: dict[str, memoryview] = {}
    position = 0
    name = ""
    while name != _TRAILER and data[position : position + 6] in _MAGICS:
        size, length = (
            int(bytes(data[position + field : position + field + 8]), 16)
            for field in (_FILE_SIZE, _NAME_SIZE)
        )
        start = position + _HEADER
        name = bytes(data[start : start + length - 1]).decode(errors="replace")
        start = start + length + 3 & ~3
        position = start + size + 3 & ~3
        if start + size > len(data):
            raise ValueError("truncated cpio archive")
        plain = name[2:] if name.startswith("./") else name.lstrip("/")
        found[plain] = memoryview(data)[start : start + size]
    found.pop(_TRAILER, None)
    return found, position


def _decompress(data: memoryview) -> bytes:
    """Return the decompressed archive at the start of the data. Raises ValueError and others."""
    magic = bytes(data[:6])
    if magic[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if magic == b"\xfd7zXZ\0":
        return lzma.decompress(data)
    program = _PROGRAMS.get(magic[:4])
    if program is None:
        raise ValueError(f"unknown compression, its first bytes are {magic!r}")
    if shutil.which(program) is None:
        raise ValueError(f"it is compressed with {program}, which is not installed")
    null = subprocess.DEVNULL
    done = subprocess.run([program, "-dc"], input=data, stdout=subprocess.PIPE, stderr=null)
    if done.returncode:
        raise ValueError(f"{program} failed with exit status {done.returncode}")
    return done.stdout
