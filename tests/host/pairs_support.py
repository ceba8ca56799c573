# SPDX-License-Identifier: MIT
"""Boot filesystems with pairs of which a name tells the content, and processes killed at a step."""

import os
import struct
import uuid
from pathlib import Path
from typing import Callable, Optional

import pytest

from harness import cpio
from initoverlayfs.build import binding_file
from initoverlayfs.install import pairs
from initoverlayfs.install.pairs import image_id as image_id
from initoverlayfs.install.places import Places
from storage_init.formats.binding import PATH

# A plain initramfs.
PLAIN = cpio.write([cpio.entry("init", b"systemd")])

# The functions of os by which publishing changes and syncs the disk.
STEPS = ("replace", "link", "unlink", "fsync", "open")


def id_of(name: str) -> str:
    """Return the image ID of the pair with this name."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def image(name: str) -> bytes:
    """Return the image of the pair with this name: an EROFS superblock and some content.

    The superblock's format: fs/erofs/erofs_fs.h
    """
    block = struct.pack("<IIIBBHQQIIII", 0xE0F5E1E2, 0, 0, 12, 0, 0, 1, 0, 0, 2, 0, 0)
    block += uuid.UUID(id_of(name)).bytes
    return (bytes(1024) + block).ljust(8192, b"\0") + name.encode() * 1000


def unbound(more: bytes = b"") -> bytes:
    """Return a mini-initramfs without a binding. more: content of a file in it."""
    ours = cpio.entry("usr/lib/initoverlayfs/modules", more)
    return cpio.write([ours, cpio.entry("usr/lib/modules/6/kernel/ext4.ko.xz")])


def mini(name: str, more: bytes = b"") -> bytes:
    """Return the mini-initramfs of the pair with this name. more: content of a file in it."""
    text = binding_file.text(id_of(name), len(image(name)), "")
    return cpio.write([cpio.entry(PATH[1:], text.encode())]) + unbound(more)


class Boot:
    """A directory that serves as the boot filesystem. New pairs are built beside it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.boot = directory / "boot"
        self.boot.mkdir(parents=True)
        self.places = Places(self.boot / "initrd", self.boot / "image")

    def built(self, name: str, more: bytes = b"") -> "tuple[Path, Path]":
        """Write a pair as a build does, and return its files."""
        (self.directory / "mini").write_bytes(mini(name, more))
        (self.directory / "image").write_bytes(image(name))
        return self.directory / "mini", self.directory / "image"

    def install(self, name: str, more: bytes = b"") -> None:
        pairs.install(self.places, *self.built(name, more))

    def rollback(self) -> None:
        pairs.rollback(self.places)

    def names(self) -> "list[str]":
        return sorted(path.name for path in self.boot.iterdir())

    def boots(self, path: Optional[Path] = None) -> str:
        """Return the name of the pair that an initramfs boots, or "plain".

        path: the initramfs, by default the one that the boot loader loads. Raises AssertionError if
        storage-init would not find its image, or the image is damaged.
        """
        path = path or self.places.initramfs
        content = path.read_bytes()
        if content == PLAIN:
            return "plain"
        binding = binding_file.read(path)
        assert binding, path
        for candidate in self.places.images:  # as storage_init.boot.images.choose
            if image_id(candidate) == binding.uuid:
                (name,) = [name for name in "xyzn" if id_of(name) == binding.uuid]
                assert candidate.read_bytes() == image(name), f"{candidate} is damaged"
                return name
        raise AssertionError(f"no image of {path}: {self.names()}")


class Killed(BaseException):
    """The process has been killed."""


def killed_at(monkeypatch: pytest.MonkeyPatch, step: int, action: Callable[[], object]) -> bool:
    """Run an action and kill it at the given step, counted from 1: nothing changes from there on.

    Returns whether it was killed: False if the action has fewer steps. Syncs nothing.
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
