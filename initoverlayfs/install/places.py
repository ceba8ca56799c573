# SPDX-License-Identifier: MIT
"""The paths of one kernel's files on the boot filesystem."""

from dataclasses import dataclass
from pathlib import Path

from initoverlayfs.errors import Failure
from initoverlayfs.machine import kernels
from initoverlayfs.machine.bootfs import BootFilesystem
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target
from storage_init.boot.step import NEW, PREVIOUS
from storage_init.config.settings import CONFIGURATION
from storage_init.config.values import ITSELF

# Suffix of the plain initramfs that the first mini-initramfs has replaced: a way to boot without
# initoverlayfs.
PLAIN = ".dracut"


@dataclass(frozen=True)
class Places:
    """Paths on this system. The two directories may be on different filesystems."""

    initramfs: Path
    image: Path

    @property
    def plain_initramfs(self) -> Path:
        """The plain initramfs that the first mini-initramfs has replaced."""
        return _beside(self.initramfs, PLAIN)

    @property
    def previous_initramfs(self) -> Path:
        """The mini-initramfs of the previous pair."""
        return _beside(self.initramfs, PREVIOUS)

    @property
    def outgoing(self) -> Path:
        """The mini-initramfs that is being replaced: afterwards it becomes the previous one."""
        return self.initramfs.with_name(f".{self.initramfs.name}.outgoing")

    @property
    def new(self) -> Path:
        """The image of a pair whose mini-initramfs is about to be published."""
        return _beside(self.image, NEW)

    @property
    def previous(self) -> Path:
        """The image of the previous pair."""
        return _beside(self.image, PREVIOUS)

    @property
    def images(self) -> tuple[Path, ...]:
        """The names under which storage-init looks for its image, in this order."""
        return self.image, self.new, self.previous

    @property
    def temporaries(self) -> tuple[Path, ...]:
        """The files that are being written; without a running writer they are garbage."""
        initramfs = (self.initramfs, self.plain_initramfs, self.previous_initramfs, self.outgoing)
        return tuple(temporary(path) for path in (*initramfs, self.new))

    @property
    def all(self) -> tuple[Path, ...]:
        """Every name that may belong to this kernel."""
        initramfs = (self.initramfs, self.previous_initramfs, self.plain_initramfs, self.outgoing)
        return (*initramfs, *self.images, *self.temporaries)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def temporary(path: Path) -> Path:
    """Return the hidden name under which a file is written before it is renamed to its path."""
    return path.with_name(f".{path.name.lstrip('.')}.tmp")


def find(target: Target, release: str, boot: BootFilesystem, settings: InstallSettings) -> Places:
    """Return the paths of a kernel's files. Raises Failure if the image is a partition."""
    if settings.fs == ITSELF:
        raise Failure(
            f"{target.path(CONFIGURATION)} sets `fs -` (the image is a partition), which"
            " initoverlayfs-install cannot write: set fs to the path of a file to have it on /boot"
        )
    image = boot.mounted_path(settings.fs.replace("%v", release))
    name = kernels.initramfs_name(target, release)
    return Places(target.path("/boot/" + name), target.path(image))
