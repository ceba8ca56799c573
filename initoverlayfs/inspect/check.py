# SPDX-License-Identifier: MIT
"""Checking what is installed for a kernel, item by item; nothing here changes anything."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from initoverlayfs.build import binding_file, initramfs
from initoverlayfs.errors import Failure
from initoverlayfs.install import pairs
from initoverlayfs.install.places import Places
from initoverlayfs.install.report import megabytes
from initoverlayfs.machine import kernels
from initoverlayfs.machine.bootfs import BootFilesystem
from initoverlayfs.target import Target
from storage_init.config.settings import Settings
from storage_init.devices.modprobe import of_filesystem
from storage_init.formats.binding import Identity

OK, WRONG, NOTE = "ok", "wrong", "note"


@dataclass(frozen=True)
class Item:
    """What was checked, one of OK, WRONG and NOTE (neither: good to know), and what was seen."""

    name: str
    verdict: str
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: {self.verdict}: {self.detail}"


def check(
    target: Target, release: str, boot: BootFilesystem, settings: Settings, places: Places
) -> list[Item]:
    """All items, in the order in which they matter."""
    bound, items = _initramfs(places)
    image = _chosen(places, bound)
    if bound:
        items.append(_image(places, bound, image))
        items.append(_hash_tree(target, bound, image))
        kind = settings.bootfstype or boot.fstype
        items.append(_modules(target, release, places, kind, bound))
    items.append(_previous(places, bound))
    items.append(_leftovers(places))
    items.append(_next_boot(places, bound, image))
    return items


def _initramfs(places: Places) -> tuple[Optional[Identity], list[Item]]:
    path = places.initramfs
    bound = None
    if not path.exists():
        item = WRONG, f"no {path}"
    else:
        try:
            bound = binding_file.read(path)
            if bound:
                item = OK, f"{path} belongs to image {bound.uuid}"
            elif initramfs.is_mini(path):
                item = WRONG, f"{path} belongs to no image: run initoverlayfs-install -f"
            else:
                item = WRONG, f"{path} is a plain initramfs: run initoverlayfs-install -f"
        except (Failure, OSError) as error:
            item = WRONG, f"{path}: {error}"
    return bound, [Item("mini-initramfs", *item)]


def _chosen(places: Places, bound: Optional[Identity]) -> Optional[Path]:
    """The file that storage-init takes, whole or not: the first of the id."""
    for path in places.images:
        if bound and pairs.uuid(path) == bound.uuid:
            return path
    return None


def _image(places: Places, bound: Identity, image: Optional[Path]) -> Item:
    if image is None:
        found = [f"{path.name} is {pairs.uuid(path) or 'no image'}" for path in _present(places)]
        there = ", ".join(found) or f"no {places.image}"
        return Item("image", WRONG, f"{bound.uuid} is not there: {there}")
    size = image.stat().st_size
    if size != bound.size:
        return Item("image", WRONG, f"{image} has {size} bytes, {bound.size} were written")
    return Item("image", OK, f"{image}, {megabytes(size)}")


def _present(places: Places) -> list[Path]:
    return [path for path in places.images if path.exists()]


def _hash_tree(target: Target, bound: Identity, image: Optional[Path]) -> Item:
    name = "hash tree"
    if bound.verity is None:
        return Item(name, OK, "none, the image is not verified at boot")
    if image is None:
        return Item(name, WRONG, "there is no image to verify")
    if not target.has("veritysetup"):
        return Item(name, NOTE, "not checked: no veritysetup, which the package cryptsetup-bin has")
    path = "/" + str(image.relative_to(target.root))
    words = bound.verity.table.split()
    # superblock and tree lie behind the data
    line = ["veritysetup", "verify", f"--hash-offset={bound.verity.size}", path, path, words[6]]
    try:
        target.run(line)
    except Failure as failure:
        return Item(name, WRONG, f"{image} is not what was built: {failure}")
    return Item(name, OK, f"root hash {words[6]}")


def _modules(target: Target, release: str, places: Places, kind: str, bound: Identity) -> Item:
    wanted = [of_filesystem(kind), "erofs", "overlay", "loop"]
    wanted += ["dm_verity"] if bound.verity else []
    try:
        there = initramfs.modules(places.initramfs)
    except Failure as failure:
        return Item("modules", WRONG, str(failure))
    there |= kernels.built_in(target, release)
    missing = [name for name in wanted if name and name not in there]
    if missing:
        text = f"{places.initramfs} lacks {', '.join(missing)}: run initoverlayfs-install -f"
        return Item("modules", WRONG, text)
    return Item("modules", OK, ", ".join(name for name in wanted if name))


def _previous(places: Places, current: Optional[Identity]) -> Item:
    name, path = "previous pair", places.previous_initramfs
    if not path.exists():
        return Item(name, NOTE, "none")
    bound = pairs.read(path)
    image = pairs.find(places, bound)
    if bound is None:
        return Item(name, WRONG, f"{path} belongs to no image")
    if image is None:
        return Item(name, WRONG, f"{path} belongs to image {bound.uuid}, and that is not there")
    if current and current.uuid == bound.uuid:
        return Item(name, NOTE, f"none yet, {path} is of the pair in place")
    return Item(name, OK, f"{path} belongs to image {bound.uuid}, {image}")


def _leftovers(places: Places) -> Item:
    names = (*places.temporaries, places.outgoing, places.new)
    found = [str(path) for path in names if path.exists()]
    if not found:
        return Item("leftovers", OK, "none")
    return Item("leftovers", NOTE, " ".join(found) + ", which the next run takes care of")


def _next_boot(places: Places, bound: Optional[Identity], image: Optional[Path]) -> Item:
    name = "next boot"
    if bound and image and image.stat().st_size >= bound.size:
        return Item(name, OK, f"image {bound.uuid} in {image}")
    if bound is None and places.initramfs.exists():
        return Item(name, NOTE, f"without initoverlayfs, from {places.initramfs}")
    return Item(name, WRONG, "no image of this mini-initramfs is there to boot")
