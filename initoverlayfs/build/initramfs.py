# SPDX-License-Identifier: MIT
"""What is in an initramfs file, without dracut's lsinitrd.

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

_HEADER = 110
_MAGICS = (b"070701", b"070702")
_END = "TRAILER!!!"
_NULL = subprocess.DEVNULL

# Which file an archive has for lsinitrd to pass over it to the next one, as after microcode.
EARLY = "early_cpio"

# What a compressed archive starts with -> the program that unpacks it, where Python cannot.
_PROGRAMS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4", b"\x89LZO": "lzop"}

# One of these files is in every mini-initramfs, and in no other initramfs.
_OURS = {"usr/lib/initoverlayfs/modules", "usr/lib/systemd/system/pre-initoverlayfs.service"}


def is_mini(path: Path) -> bool:
    """Whether an initramfs is one of ours; False for what cannot be read as an initramfs."""
    try:
        return not _OURS.isdisjoint(names(path))
    except Failure:
        return False


def names(path: Path) -> set[str]:
    """The names in it, without a leading /. Raises Failure."""
    return set(sizes(path))


def sizes(path: Path) -> dict[str, int]:
    """The names in it, without a leading /, and the sizes in bytes. Raises Failure."""
    found: dict[str, int] = {}
    for files, _ in archives(path):
        found.update((name, len(content)) for name, content in files.items())
    return found


def archives(path: Path) -> Iterator[tuple[dict[str, memoryview], memoryview]]:
    """Yield each cpio archive in it: its files, by their names, and its bytes, not compressed.

    dracut before 112 writes one archive after an optional early one, dracut 112 writes several, and
    the kernel accepts any number in any order. Raises Failure.
    """
    with _failures(path):
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        while data:
            if data[:6] not in _MAGICS:
                data = memoryview(_unpacked(data))
            files, position = _archive(data)
            if position == 0:
                raise ValueError("no cpio archive")
            yield files, data[:position]
            while position < len(data) and data[position] == 0:
                position += 1
            data = data[position:]


def first(path: Path) -> dict[str, bytes]:
    """Names and contents of the files in its first archive if that is not compressed.

    Raises Failure.
    """
    with _failures(path):
        return {name: bytes(content) for name, content in _archive(path.read_bytes())[0].items()}


def prefixed(archive: bytes, initramfs: bytes) -> bytes:
    """The initramfs with the files of an uncompressed archive before it.

    lsinitrd passes over one archive: where the initramfs starts with an early one, they become one.
    """
    if EARLY in _archive(initramfs)[0]:
        archive = archive[: archive.rindex(_END.encode()) - _HEADER]
    return archive + initramfs


@contextlib.contextmanager
def _failures(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    except (ValueError, EOFError, lzma.LZMAError) as error:
        raise Failure(f"{path} cannot be read as an initramfs: {error}") from None


def modules(path: Path) -> set[str]:
    """Return the kernel modules in it, by the kernel's names. Raises Failure."""
    return set(module_names(names(path)))


def module_names(files: set[str]) -> Iterator[str]:
    """Yield the kernel's names of the modules among these files."""
    for name in files:
        stem, dot, _ = name.rpartition("/")[2].partition(".ko")
        if dot:
            yield stem.replace("-", "_")


def _archive(data: Union[bytes, memoryview]) -> tuple[dict[str, memoryview], int]:
    """The files in the archive at the start, by their names, and where it ends: 0 for none."""
    found: dict[str, memoryview] = {}
    position = 0
    name = ""
    while name != _END and data[position : position + 6] in _MAGICS:
        size, length = (int(bytes(data[position + at : position + at + 8]), 16) for at in (54, 94))
        start = position + _HEADER
        name = bytes(data[start : start + length - 1]).decode(errors="replace")
        start = start + length + 3 & ~3
        position = start + size + 3 & ~3
        if start + size > len(data):
            raise ValueError("cut off")
        plain = name[2:] if name.startswith("./") else name.lstrip("/")
        found[plain] = memoryview(data)[start : start + size]
    found.pop(_END, None)
    return found, position


def _unpacked(data: memoryview) -> bytes:
    start = bytes(data[:6])
    if start[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if start == b"\xfd7zXZ\0":
        return lzma.decompress(data)
    program = _PROGRAMS.get(start[:4])
    if program is None:
        raise ValueError(f"unknown compression, it starts {start!r}")
    if shutil.which(program) is None:
        raise ValueError(f"it is compressed with {program}, and that is not installed here")
    done = subprocess.run([program, "-dc"], input=data, stdout=subprocess.PIPE, stderr=_NULL)
    if done.returncode:
        raise ValueError(f"{program} ended with status {done.returncode}")
    return done.stdout
