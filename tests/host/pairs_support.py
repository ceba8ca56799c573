# SPDX-License-Identifier: MIT
"""A boot filesystem with pairs on it, and processes on it that end at any of their steps."""

import os
import struct
import uuid
from pathlib import Path
from typing import Callable, Optional

import pytest

from harness import cpio
from initoverlayfs.build import binding_file
from initoverlayfs.install import pairs
from initoverlayfs.install.places import Places
from storage_init.formats.binding import PATH

PLAIN = cpio.write([cpio.entry("init", b"systemd")])

# Everything in os by which publishing changes or syncs what is on the disk.
STEPS = ("replace", "link", "unlink", "fsync", "open")


def id_of(name: str) -> str:
    """The id of the image that the tests call so."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def image(name: str) -> bytes:
    """Of an EROFS image, the superblock (fs/erofs/erofs_fs.h) with the id, and some content."""
    block = struct.pack("<IIIBBHQQIIII", 0xE0F5E1E2, 0, 0, 12, 0, 0, 1, 0, 0, 2, 0, 0)
    block += uuid.UUID(id_of(name)).bytes
    return (bytes(1024) + block).ljust(8192, b"\0") + name.encode() * 1000


def unbound(more: bytes = b"") -> bytes:
    """A mini-initramfs that says nothing of an image."""
    ours = cpio.entry("usr/lib/initoverlayfs/modules", more)
    return cpio.write([ours, cpio.entry("usr/lib/modules/6/kernel/ext4.ko.xz")])


def mini(name: str, more: bytes = b"") -> bytes:
    """A mini-initramfs that belongs to this image."""
    text = binding_file.text(id_of(name), len(image(name)), "")
    return cpio.write([cpio.entry(PATH[1:], text.encode())]) + unbound(more)


class Boot:
    """A directory as the boot filesystem; what is built lies beside it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.boot = directory / "boot"
        self.boot.mkdir(parents=True)
        self.places = Places(self.boot / "initrd", self.boot / "image")

    def built(self, name: str, more: bytes = b"") -> "tuple[Path, Path]":
        """The files of a pair that was just built."""
        (self.directory / "mini").write_bytes(mini(name, more))
        (self.directory / "image").write_bytes(image(name))
        return self.directory / "mini", self.directory / "image"

    def install(self, name: str, more: bytes = b"") -> None:
        pairs.install(self.places, *self.built(name, more))

    def installing(self, name: str) -> "Callable[[], None]":
        """To be called later: install()."""
        return lambda: self.install(name)

    def rollback(self) -> None:
        pairs.rollback(self.places)

    def names(self) -> "list[str]":
        return sorted(path.name for path in self.boot.iterdir())

    def boots(self, path: Optional[Path] = None) -> str:
        """What the bootloader starts, as storage-init would go on: a pair's name, or "plain".

        AssertionError where that does not boot.
        """
        path = path or self.places.initramfs
        content = path.read_bytes()
        if content == PLAIN:
            return "plain"
        bound = binding_file.read(path)
        assert bound, path
        for candidate in self.places.images:  # storage_init.images.choose
            if pairs.uuid(candidate) == bound.uuid:
                (name,) = [name for name in "xyzn" if id_of(name) == bound.uuid]
                assert candidate.read_bytes() == image(name), f"{candidate} is not whole"
                return name
        raise AssertionError(f"no image of {path}: {self.names()}")


class Killed(BaseException):
    """The process is gone."""


def killed_at(monkeypatch: pytest.MonkeyPatch, step: int, action: Callable[[], object]) -> bool:
    """Run the action until it would take that step; from there on nothing is done any more.

    Returns whether there was such a step.
    """
    calls = []

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            calls.append(real)
            if len(calls) >= step:
                raise Killed
            return None if real is fsync else real(*arguments, **options)

        return call

    fsync = os.fsync
    with monkeypatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, counted(getattr(os, name)))
        try:
            action()
        except Killed:
            return True
    return False
