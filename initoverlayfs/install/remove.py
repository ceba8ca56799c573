# SPDX-License-Identifier: MIT
"""Remove one kernel's files from the boot filesystem.

Compares complete names, since one release can be a prefix of another.
"""

from collections.abc import Iterator
from pathlib import Path

from initoverlayfs.build import initramfs
from initoverlayfs.errors import Failure
from initoverlayfs.install import conf
from initoverlayfs.install.places import Places
from initoverlayfs.install.work import locked, working_directory
from initoverlayfs.machine import bootfs, kernels
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target
from storage_init.config.settings import CONFIGURATION
from storage_init.config.values import ITSELF


def remove(target: Target, release: str) -> str:
    """Remove a kernel's files and return a line that names them. Raises Failure or OSError.

    Keeps an initramfs that is not a mini-initramfs, and every name that another installed kernel
    uses too, such as an image for all kernels. Also removes the working directory of a killed run.
    """
    if "/" in release or release in ("", ".", ".."):
        raise Failure(f"--kver {release}: not the release of a kernel")
    boot = bootfs.find(target)
    settings = conf.read(target.path(CONFIGURATION))
    with locked(target), working_directory(target):
        shared = set(_used_by_others(target, boot, settings, release))
        removed: list[Path] = []
        for places in _possible_places(target, boot, settings, release):
            for path in places.all:
                if path in shared or path in removed or path == places.initramfs:
                    continue
                if _exists(path):
                    path.unlink()
                    removed.append(path)
        # The mini-initramfs last: without an image the kernel may boot, without an initramfs not.
        for places in _possible_places(target, boot, settings, release):
            path = places.initramfs
            if path not in shared and _exists(path) and initramfs.is_mini(path):
                path.unlink()
                removed.append(path)
    if not removed:
        return f"Linux {release} has no files to remove."
    return "Removed: " + " ".join(path.name for path in removed)


def _exists(path: Path) -> bool:
    """Return whether a file or a symbolic link, even a dangling one, has this name."""
    return path.is_symlink() or path.exists()


def _possible_places(
    target: Target, boot: bootfs.BootFilesystem, settings: InstallSettings, release: str
) -> Iterator[Places]:
    """Yield the paths for each name that a kernel's initramfs can have."""
    for name in kernels.initramfs_names(release):
        image = target.path(f"/boot/initoverlayfs-{release}.img")
        if settings.fs != ITSELF:
            image = target.path(boot.mounted_path(settings.fs.replace("%v", release)))
        yield Places(target.path("/boot/" + name), image)


def _used_by_others(
    target: Target, boot: bootfs.BootFilesystem, settings: InstallSettings, release: str
) -> Iterator[Path]:
    """Yield the paths that the other installed kernels may use."""
    for other in kernels.installed(target):
        if other != release:
            for places in _possible_places(target, boot, settings, other):
                yield from places.all
