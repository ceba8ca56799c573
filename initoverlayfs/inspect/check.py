# SPDX-License-Identifier: MIT
"""Check the pairs installed for a kernel (--verify). Changes nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from initoverlayfs.build import binding_file, initramfs
from initoverlayfs.errors import Failure
from initoverlayfs.install import pairs
from initoverlayfs.install.commands import Installation
from initoverlayfs.install.places import Places
from initoverlayfs.install.report import megabytes
from initoverlayfs.machine import kernels
from initoverlayfs.target import Target
from storage_init.devices.modprobe import of_filesystem
from storage_init.formats.binding import Identity

# NOTE: worth knowing, and no reason to fail.
OK, WRONG, NOTE = "ok", "wrong", "note"

_REBUILD = "run initoverlayfs-install -f to build a new pair"


@dataclass(frozen=True)
class Item:
    """The result of one check. verdict: OK, WRONG or NOTE."""

    name: str
    verdict: str
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: {self.verdict}: {self.detail}"


def check(target: Target, installation: Installation) -> list[Item]:
    """Return the results of all checks, the most important first."""
    places = installation.places
    binding, items = _check_initramfs(places)
    image = _find_image(places, binding)
    if binding:
        items.append(_check_image(places, binding, image))
        items.append(_check_hash_tree(target, binding, image))
        items.append(_check_modules(target, installation, binding))
    items.append(_check_previous(places, binding))
    items.append(_check_leftovers(places))
    items.append(_check_next_boot(places, binding, image))
    return items


def _check_initramfs(places: Places) -> tuple[Optional[Identity], list[Item]]:
    path = places.initramfs
    binding = None
    if not path.exists():
        result = WRONG, f"{path} does not exist: {_REBUILD}"
    else:
        try:
            binding = binding_file.read(path)
            if binding:
                result = OK, f"{path} belongs to image {binding.uuid}"
            elif initramfs.is_mini(path):
                result = WRONG, f"{path} has no binding to an image: {_REBUILD}"
            else:
                result = WRONG, f"{path} is a plain initramfs: {_REBUILD}"
        except (Failure, OSError) as error:
            result = WRONG, f"{path}: {error}"
    return binding, [Item("mini-initramfs", *result)]


def _find_image(places: Places, binding: Optional[Identity]) -> Optional[Path]:
    """Return the file that storage-init uses, even if truncated: the first with the bound ID."""
    for path in places.images:
        if binding and pairs.image_id(path) == binding.uuid:
            return path
    return None


def _check_image(places: Places, binding: Identity, image: Optional[Path]) -> Item:
    if image is None:
        existing = [path for path in places.images if path.exists()]
        others = [f"{path.name} is {pairs.image_id(path) or 'no image'}" for path in existing]
        reason = ", ".join(others) or f"{places.image} does not exist"
        return Item("image", WRONG, f"{binding.uuid} not found: {reason}: {_REBUILD}")
    size = image.stat().st_size
    if size != binding.size:
        detail = f"{image} has {size} bytes instead of {binding.size}: {_REBUILD}"
        return Item("image", WRONG, detail)
    return Item("image", OK, f"{image}, {megabytes(size)}")


def _check_hash_tree(target: Target, binding: Identity, image: Optional[Path]) -> Item:
    name = "hash tree"
    if binding.verity is None:
        return Item(name, OK, "none, the image is not verified at boot")
    if image is None:
        return Item(name, WRONG, "there is no image to verify")
    if not target.has_command("veritysetup"):
        return Item(name, NOTE, "not checked: install veritysetup (package cryptsetup-bin)")
    path = "/" + str(image.relative_to(target.root))
    root_hash = binding.verity.root_hash
    # The superblock and the tree are behind the data.
    line = ["veritysetup", "verify", f"--hash-offset={binding.verity.size}", path, path, root_hash]
    try:
        target.run(line)
    except Failure as failure:
        return Item(name, WRONG, f"{image} is corrupted: {failure}: {_REBUILD}")
    return Item(name, OK, f"root hash {root_hash}")


def _check_modules(target: Target, installation: Installation, binding: Identity) -> Item:
    places = installation.places
    fstype = installation.settings.bootfstype or installation.boot.fstype
    types = "" if "," in fstype else fstype  # one driver of a list suffices
    required = [of_filesystem(types), "erofs", "overlay", "loop"]
    required += ["dm_verity"] if binding.verity else []
    try:
        present = initramfs.modules(places.initramfs)
    except Failure as failure:
        return Item("modules", WRONG, str(failure))
    present |= kernels.built_in(target, installation.release)
    missing = [name for name in required if name and name not in present]
    if missing:
        detail = f"{places.initramfs} lacks {', '.join(missing)}: {_REBUILD}"
        return Item("modules", WRONG, detail)
    return Item("modules", OK, ", ".join(name for name in required if name))


def _check_previous(places: Places, current: Optional[Identity]) -> Item:
    name, path = "previous pair", places.previous_initramfs
    if not path.exists():
        return Item(name, NOTE, "none")
    binding = pairs.read_binding(path)
    image = pairs.find_image(places, binding)
    if binding is None:
        return Item(name, WRONG, f"{path} has no binding to an image")
    if image is None:
        return Item(name, WRONG, f"{path} belongs to image {binding.uuid}, which does not exist")
    if current and current.uuid == binding.uuid:
        return Item(name, NOTE, f"none yet: {path} belongs to the current pair's image")
    return Item(name, OK, f"{path} belongs to image {binding.uuid}, {image}")


def _check_leftovers(places: Places) -> Item:
    names = (*places.temporaries, places.outgoing, places.new)
    found = [str(path) for path in names if path.exists()]
    if not found:
        return Item("leftovers", OK, "none")
    detail = f"{' '.join(found)}: an interrupted run left them, the next run completes or undoes it"
    return Item("leftovers", NOTE, detail)


def _check_next_boot(places: Places, binding: Optional[Identity], image: Optional[Path]) -> Item:
    name = "next boot"
    if binding and image and image.stat().st_size >= binding.size:
        return Item(name, OK, f"image {binding.uuid} in {image}")
    if binding is None and places.initramfs.exists():
        return Item(name, NOTE, f"without initoverlayfs, from {places.initramfs}")
    return Item(name, WRONG, f"the mini-initramfs has no image to boot: {_REBUILD}")
