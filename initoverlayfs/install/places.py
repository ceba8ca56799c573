# SPDX-License-Identifier: MIT
"""The files on the boot filesystem: their names, and how they are found for one kernel."""

from dataclasses import dataclass
from pathlib import Path

from initoverlayfs.errors import Failure
from initoverlayfs.machine import kernels
from initoverlayfs.machine.bootfs import BootFilesystem
from initoverlayfs.target import Target
from storage_init.boot.step import NEW, PREVIOUS
from storage_init.config.settings import CONFIGURATION, Settings
from storage_init.config.values import ITSELF

# Added to the name of the initramfs that was there before: a way to boot without initoverlayfs.
KEPT = ".dracut"


@dataclass(frozen=True)
class Places:
    """Where everything of one kernel is: paths here. The two may lie on different filesystems."""

    initramfs: Path
    image: Path

    @property
    def kept(self) -> Path:
        """The plain initramfs that was there before."""
        return _beside(self.initramfs, KEPT)

    @property
    def previous_initramfs(self) -> Path:
        """The mini-initramfs of the previous pair."""
        return _beside(self.initramfs, PREVIOUS)

    @property
    def outgoing(self) -> Path:
        """The mini-initramfs that becomes the previous one when another has taken its place."""
        return self.initramfs.with_name(f".{self.initramfs.name}.outgoing")

    @property
    def new(self) -> Path:
        """The image while its mini-initramfs is not there yet, and a moment longer."""
        return _beside(self.image, NEW)

    @property
    def previous(self) -> Path:
        """The image of the previous pair."""
        return _beside(self.image, PREVIOUS)

    @property
    def images(self) -> tuple[Path, ...]:
        """Where storage-init looks for its image, in this order."""
        return self.image, self.new, self.previous

    @property
    def temporaries(self) -> tuple[Path, ...]:
        """What is being written, and means nothing when the one who wrote it is gone."""
        named = (self.initramfs, self.kept, self.previous_initramfs, self.outgoing, self.new)
        return tuple(temporary(path) for path in named)

    @property
    def all(self) -> tuple[Path, ...]:
        """Every name that may belong to this kernel."""
        initramfs = (self.initramfs, self.previous_initramfs, self.kept, self.outgoing)
        return (*initramfs, *self.images, *self.temporaries)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def temporary(path: Path) -> Path:
    """The hidden file in which the content of `path` is written before it gets its name."""
    return path.with_name(f".{path.name.lstrip('.')}.tmp")


def find(target: Target, release: str, boot: BootFilesystem, settings: Settings) -> Places:
    """The places of this kernel. Raises Failure where the image is no file."""
    if settings.fs == ITSELF:
        raise Failure(
            f"{target.path(CONFIGURATION)} says `fs -`, the image itself is a partition: that"
            " cannot be written here; set fs to a path to have the image on /boot"
        )
    image = boot.mounted_path(settings.fs.replace("%v", release))
    name = kernels.initramfs_name(target, release)
    return Places(target.path("/boot/" + name), target.path(image))
