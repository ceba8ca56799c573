# SPDX-License-Identifier: MIT
"""Removing what belongs to one kernel, by whole names: releases can be prefixes of each other."""

from collections.abc import Iterator
from pathlib import Path

from initoverlayfs.build import initramfs
from initoverlayfs.errors import Failure
from initoverlayfs.install import conf
from initoverlayfs.install.places import Places
from initoverlayfs.install.work import locked, working_directory
from initoverlayfs.machine import bootfs, kernels
from initoverlayfs.target import Target
from storage_init.config.settings import CONFIGURATION, Settings
from storage_init.config.values import ITSELF


def remove(target: Target, release: str) -> str:
    """Remove this kernel's files, and return a line that says which.

    An initramfs that is not ours is left to whoever made it; what has the name of a file of another
    installed kernel, to that: an image for all kernels. Raises Failure or OSError.
    """
    if "/" in release or release in ("", ".", ".."):
        raise Failure(f"--kver {release}: no kernel is called that")
    boot = bootfs.find(target)
    settings = conf.read(target.path(CONFIGURATION))
    with locked(target), working_directory(target):
        used = set(_used(target, boot, settings, release))
        found: list[Path] = []
        for places in _places(target, boot, settings, release):
            for path in places.all:
                if path in used or path in found or path == places.initramfs:
                    continue
                if _exists(path):
                    path.unlink()
                    found.append(path)
        # It comes last: without it the kernel would not boot, without the image it may.
        for places in _places(target, boot, settings, release):
            path = places.initramfs
            if path not in used and _exists(path) and initramfs.is_mini(path):
                path.unlink()
                found.append(path)
    if not found:
        return f"Nothing is there for Linux {release}."
    return "Removed: " + " ".join(path.name for path in found)


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _places(
    target: Target, boot: bootfs.BootFilesystem, settings: Settings, release: str
) -> Iterator[Places]:
    """For each name that its initramfs may have."""
    for name in kernels.initramfs_names(release):
        image = target.path(f"/boot/initoverlayfs-{release}.img")
        if settings.fs != ITSELF:
            image = target.path(boot.mounted_path(settings.fs.replace("%v", release)))
        yield Places(target.path("/boot/" + name), image)


def _used(
    target: Target, boot: bootfs.BootFilesystem, settings: Settings, release: str
) -> Iterator[Path]:
    for other in kernels.installed(target):
        if other != release:
            for places in _places(target, boot, settings, other):
                yield from places.all
