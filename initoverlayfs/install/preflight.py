# SPDX-License-Identifier: MIT
"""Check that a pair can be built and published, before anything is built."""

from initoverlayfs.build import job, requirements, signature
from initoverlayfs.errors import Failure
from initoverlayfs.install import pairs, publish
from initoverlayfs.install.places import Places
from initoverlayfs.install.places import find as find_places
from initoverlayfs.machine.bootfs import BootFilesystem
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target


def check(
    target: Target, release: str, boot: BootFilesystem, settings: InstallSettings, force: bool
) -> Places:
    """Return the paths of a new pair. Raises Failure if it cannot be built or published there.

    Completes or undoes what a killed run has left there.
    """
    requirements.require_builders(target, settings)
    hash_tree = job.wants_hash_tree(settings)
    if hash_tree:
        requirements.require_veritysetup(target)
    signature.require(target, release, settings, hash_tree)
    places = find_places(target, release, boot, settings)
    _require_force(places, force)
    require_room(places)
    requirements.require_runtime(target, settings.initoverlayfs_init, settings.runtime)
    return places


def _require_force(places: Places, force: bool) -> None:
    for path in (places.initramfs, places.image):
        if path.exists() and not force:
            raise Failure(f"{path} exists: add -f to replace it")


def require_room(places: Places) -> None:
    """Raise Failure if a pair cannot be written, or surely does not fit, on the boot filesystem.

    Estimates the sizes of the new files by those of the existing ones. pairs.install() checks again
    with the real sizes. Completes or undoes what a killed run has left there.
    """
    for path in (places.initramfs, places.image):
        publish.require_writable(path.parent)
    with publish.failures(places.initramfs.parent):
        pairs.recover(places)
        sizes = [path.stat().st_size for path in (places.initramfs, places.image) if path.exists()]
        if len(sizes) == 2:
            pairs.require_space(places, *sizes)
        elif places.initramfs.exists():
            # A plain initramfs: every image is larger.
            pairs.require_space(places, 0, sizes[0])
