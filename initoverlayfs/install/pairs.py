# SPDX-License-Identifier: MIT
"""Pairs of a mini-initramfs and its image: exchanged so that at every moment one of them boots.

storage-init takes, of the image's three names, the file with the id that its mini-initramfs says.
So the rename of the mini-initramfs is all it takes to go from one pair to another, and the image
of the pair that is in place is not touched before it. The images get their usual names after it.
What is done up to any point is on the disk before the next is begun, and settle() ends it.
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


def read(path: Path) -> Optional[Identity]:
    """What the mini-initramfs in this file is bound to; None where it is bound to nothing."""
    try:
        return binding_file.read(path)
    except Failure:
        return None


def uuid(image: Path) -> str:
    """The id of the image in this file; "" where there is none."""
    try:
        with image.open("rb") as file:
            found = superblock.identify(lambda at, size: os.pread(file.fileno(), size, at))
    except OSError:
        return ""
    return "" if found is None else images.name_of(found)


def find(places: Places, bound: Optional[Identity]) -> Optional[Path]:
    """Where the image of this identity is, whole as far as its size tells; None: nowhere."""
    for path in places.images:
        if bound and uuid(path) == bound.uuid and path.stat().st_size >= bound.size:
            return path
    return None


def settle(places: Places) -> None:
    """Finish what a run that was ended had committed, and remove what it had not."""
    for path in places.temporaries:
        publish.remove(path)
    outgoing, current = read(places.outgoing), read(places.initramfs)
    if outgoing and current and outgoing.uuid != current.uuid:
        publish.move(places.outgoing, places.previous_initramfs)
    # before anything is freed that a bootloader may still see, and when all is done
    publish.checkpoint(places.initramfs.parent)
    publish.remove(places.outgoing)
    arrange(places)
    publish.checkpoint(places.initramfs.parent)


def arrange(places: Places) -> None:
    """Give the images of both pairs their names, and remove what belongs to neither.

    Each of the two can be found at every moment.
    """
    if read(places.initramfs) is None and initramfs.is_mini(places.initramfs):
        return  # bound to nothing: it takes the image by its name alone
    current = find(places, read(places.initramfs))
    previous = _previous(places)
    if current and current != places.image:
        if previous == places.image or (previous is None and uuid(places.image)):
            if current == places.previous:
                publish.move(current, places.new)
                current = places.new
            publish.move(places.image, places.previous)
        publish.move(current, places.image)
        previous = _previous(places)
    if previous == places.new:
        publish.move(places.new, places.previous)
    publish.remove(places.new)
    if places.previous.exists() and not uuid(places.previous):
        publish.remove(places.previous)  # a name without content, as publish.move makes it


def _previous(places: Places) -> Optional[Path]:
    """Where the image of the previous pair is; a previous mini-initramfs without one is removed."""
    bound, current = read(places.previous_initramfs), read(places.initramfs)
    if bound and current and bound.uuid == current.uuid:
        bound = None
    found = find(places, bound)
    if found is None:
        publish.remove(places.previous_initramfs)
    return found


def require_space(places: Places, mini: int, image: int) -> None:
    """Raises Failure where a pair of these sizes in bytes does not fit beside what is there."""
    needs = [(places.image.parent, image), (places.initramfs.parent, mini)]
    if places.initramfs.exists():
        probe = temporary(places.outgoing)
        publish.remove(probe)
        if not publish.can_link(places.initramfs, probe):  # it will be copied
            needs.append((places.initramfs.parent, places.initramfs.stat().st_size))
        publish.remove(probe)
    publish.require_space(needs)


def install(places: Places, mini: Path, image: Path) -> None:
    """Publish a pair, and keep the one that is there as the previous one.

    A plain initramfs is kept under its own name. Where the image is there already, byte by byte,
    the previous pair stays what it is. Raises Failure; what boots is then the old pair or, once it
    is in place, the new one.
    """
    with publish.failures(places.initramfs.parent):
        settle(places)
        bound = binding_file.read(mini)
        if bound is None:
            raise Failure(f"{mini} is bound to no image")
        there = find(places, bound)
        if there and not digest.same(there, image):
            there = None
        size = 0 if there else image.stat().st_size
        require_space(places, mini.stat().st_size, size)
        try:
            if there is None:
                publish.write(image, places.new)
                if uuid(places.image) == bound.uuid:  # damaged, and storage-init would take it
                    publish.replace(places.new, places.image)
            publish.copy(mini, temporary(places.initramfs))
            _exchange(places)
        except BaseException:
            settle(places)
            raise


def rollback(places: Places) -> None:
    """Go back to the previous pair, which then is the one to roll back to. Raises Failure."""
    with publish.failures(places.initramfs.parent):
        settle(places)
        if find(places, read(places.previous_initramfs)) is None:
            raise Failure(_no_previous(places))
        try:
            publish.stage(places.previous_initramfs, places.initramfs)
            _exchange(places)
        except BaseException:
            settle(places)
            raise


def _exchange(places: Places) -> None:
    """Put the mini-initramfs that is staged in place. Its image is there already."""
    current = read(places.initramfs)
    if find(places, current):
        publish.keep(places.initramfs, places.outgoing)
    elif places.initramfs.exists() and not initramfs.is_mini(places.initramfs):
        publish.keep(places.initramfs, places.kept)
    # then the rename is all of it that a bootloader may or may not see
    publish.checkpoint(places.initramfs.parent)
    publish.replace(temporary(places.initramfs), places.initramfs)
    settle(places)


def _no_previous(places: Places) -> str:
    text = f"there is no previous pair to go back to beside {places.initramfs}"
    if places.kept.exists():
        text += f"; the plain initramfs is kept: `mv {places.kept} {places.initramfs}` goes back"
    return text
