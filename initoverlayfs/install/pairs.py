# SPDX-License-Identifier: MIT
"""Exchange pairs on the boot filesystem, such that at every moment one of them boots.

Of the three names of an image, storage-init uses the file whose image ID is in the binding of its
mini-initramfs. So the rename of the mini-initramfs is the commit point: it alone selects the other
pair. Before it, the image of the current pair stays untouched; after it, the images get their usual
names. Each step is on the disk before the next one begins. recover() completes or undoes an
exchange that was interrupted.
"""

import os
from pathlib import Path
from typing import Optional

from initoverlayfs import digest
from initoverlayfs.build import binding_file, initramfs
from initoverlayfs.errors import Failure
from initoverlayfs.install import publish
from initoverlayfs.install.places import Places, temporary
from storage_init.boot import images
from storage_init.formats import superblock
from storage_init.formats.binding import Identity


def read_binding(path: Path) -> Optional[Identity]:
    """Return the binding of the initramfs in a file; None if it has none or cannot be read."""
    try:
        return binding_file.read(path)
    except Failure:
        return None


def image_id(path: Path) -> str:
    """Return the ID of the image in a file; "" if it is no image or cannot be read."""
    try:
        with path.open("rb") as file:
            filesystem = superblock.identify(lambda at, size: os.pread(file.fileno(), size, at))
    except OSError:
        return ""
    return "" if filesystem is None else images.name_of(filesystem)


def find_image(places: Places, binding: Optional[Identity]) -> Optional[Path]:
    """Return the file with the image that a binding names, or None; ignores truncated ones."""
    for path in places.images:
        if binding and image_id(path) == binding.uuid and path.stat().st_size >= binding.size:
            return path
    return None


def recover(places: Places) -> None:
    """Complete an interrupted exchange that was committed, undo one that was not. Raises OSError.

    Does nothing if no exchange was interrupted.
    """
    for path in places.temporaries:
        publish.remove(path)
    outgoing, current = read_binding(places.outgoing), read_binding(places.initramfs)
    if outgoing and current and outgoing.uuid != current.uuid:
        publish.move(places.outgoing, places.previous_initramfs)
    # Before remove() frees blocks that a boot loader may still refer to, and once more at the end.
    publish.checkpoint(places.initramfs.parent)
    publish.remove(places.outgoing)
    _rename_images(places)
    publish.checkpoint(places.initramfs.parent)


def _rename_images(places: Places) -> None:
    """Give the images of both pairs their usual names, and remove the image of neither pair.

    Between two steps, storage-init finds the images of both pairs.
    """
    if read_binding(places.initramfs) is None and initramfs.is_mini(places.initramfs):
        return  # without a binding, this mini-initramfs boots the image by its usual name
    current = find_image(places, read_binding(places.initramfs))
    previous = _find_previous(places)
    if current and current != places.image:
        if previous == places.image or (previous is None and image_id(places.image)):
            if current == places.previous:
                publish.move(current, places.new)
                current = places.new
            publish.move(places.image, places.previous)
        publish.move(current, places.image)
        previous = _find_previous(places)
    if previous == places.new:
        publish.move(places.new, places.previous)
    publish.remove(places.new)
    if places.previous.exists() and not image_id(places.previous):
        publish.remove(places.previous)  # the empty file that publish.move() creates first


def _find_previous(places: Places) -> Optional[Path]:
    """Return the image of the previous pair. Without one, remove the previous mini-initramfs."""
    previous, current = read_binding(places.previous_initramfs), read_binding(places.initramfs)
    if previous and current and previous.uuid == current.uuid:
        previous = None
    found = find_image(places, previous)
    if found is None:
        publish.remove(places.previous_initramfs)
    return found


def require_space(places: Places, mini: int, image: int) -> None:
    """Raise Failure if a pair of these sizes in bytes does not fit beside the existing files."""
    required = [(places.image.parent, image), (places.initramfs.parent, mini)]
    if places.initramfs.exists():
        probe = temporary(places.outgoing)
        publish.remove(probe)
        if not publish.try_link(places.initramfs, probe):  # so it will be copied
            required.append((places.initramfs.parent, places.initramfs.stat().st_size))
        publish.remove(probe)
    publish.require_space(required)


def install(places: Places, mini: Path, image: Path) -> None:
    """Publish a pair; the current pair becomes the previous one, a plain initramfs is kept.

    If an image with the same content exists, only the mini-initramfs is exchanged, and the previous
    pair stays. Raises Failure; the current pair is then the old one, or after the
    commit point the new one.
    """
    with publish.failures(places.initramfs.parent):
        recover(places)
        binding = binding_file.read(mini)
        if binding is None:
            raise Failure(f"{mini}: this mini-initramfs has no binding to an image")
        existing = find_image(places, binding)
        if existing and not digest.same(existing, image):
            existing = None
        size = 0 if existing else image.stat().st_size
        require_space(places, mini.stat().st_size, size)
        try:
            if existing is None:
                publish.write(image, places.new)
                # A damaged image with the same ID: storage-init would prefer it.
                if image_id(places.image) == binding.uuid:
                    publish.replace(places.new, places.image)
            publish.copy(mini, temporary(places.initramfs))
            _commit(places)
        except BaseException:
            recover(places)
            raise


def rollback(places: Places) -> None:
    """Exchange the current and the previous pair. Raises Failure."""
    with publish.failures(places.initramfs.parent):
        recover(places)
        if find_image(places, read_binding(places.previous_initramfs)) is None:
            raise Failure(_no_previous(places))
        try:
            publish.stage(places.previous_initramfs, places.initramfs)
            _commit(places)
        except BaseException:
            recover(places)
            raise


def _commit(places: Places) -> None:
    """Publish the staged mini-initramfs, whose image is published already; complete the exchange.

    Keeps the replaced mini-initramfs as the outgoing one, a plain initramfs under its own name.
    """
    if find_image(places, read_binding(places.initramfs)):
        publish.keep(places.initramfs, places.outgoing)
    elif places.initramfs.exists() and not initramfs.is_mini(places.initramfs):
        publish.keep(places.initramfs, places.plain_initramfs)
    # After this, the rename is the only change that a boot loader may or may not see.
    publish.checkpoint(places.initramfs.parent)
    publish.replace(temporary(places.initramfs), places.initramfs)
    recover(places)


def _no_previous(places: Places) -> str:
    text = f"cannot roll back {places.initramfs}: there is no previous pair"
    if places.plain_initramfs.exists():
        text += (
            f"; to boot without initoverlayfs, run `mv {places.plain_initramfs} {places.initramfs}`"
        )
    return text
