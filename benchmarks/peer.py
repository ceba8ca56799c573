# SPDX-License-Identifier: MIT
"""Debian's default as a peer: the same guest with initramfs-tools in place of dracut."""

import json
import os
import shutil
from pathlib import Path

from harness import cache, disk
from harness import guest as guests
from harness.guest import Guest, Progress
from harness.privilege import in_tree, run

PACKAGES = tuple("initramfs-tools" if name == "dracut" else name for name in guests.PACKAGES)


def _base(progress: Progress) -> Path:
    """The tar file of the tree, its kernel without an initramfs."""

    def build(directory: Path) -> None:
        progress("building a Debian tree with initramfs-tools (about a minute)")
        line = ["env", "INITRD=No", "mmdebstrap", "--quiet", "--variant=apt", "--format=tar"]
        line += [] if os.geteuid() == 0 else ["--mode=unshare"]
        line += ["--include=" + ",".join((*PACKAGES, "linux-image-amd64"))]
        line += [guests.SUITE, str(directory / "base.tar")]
        mirror = os.environ.get(guests.MIRROR)
        run(line + ([mirror] if mirror else []))

    key = cache.digest(guests.SUITE, *PACKAGES)
    return cache.built("peer-base", key, build) / "base.tar"


def guest(progress: Progress) -> Guest:
    """The guest; it has no image, and its plain initramfs is the one it boots with."""

    def build(directory: Path) -> None:
        tree = directory / "tree"
        try:
            guests.extract(tar, tree)
            guests.configure(tree)
            kver = guests.kernel_version(tree)
            progress("building an initramfs with initramfs-tools")
            run(in_tree(tree, ["update-initramfs", "-c", "-k", kver]), directory / "log")
            shutil.copy(tree / f"boot/initrd.img-{kver}", directory / "plain-initrd")
            guests.finish(directory, tree, kver)
        finally:
            cache.remove(tree)

    tar = _base(progress)
    parts = [Path(module.__file__ or "") for module in (guests, disk)]
    parts.append(Path(guests.__file__).with_name("collect.py"))
    key = cache.digest(tar.parent.name, *parts)
    directory = cache.built("peer-guest", key, build)
    facts = json.loads((directory / "guest.json").read_text())
    names = ("kernel", "initrd", "plain_initrd", "disk")
    return Guest(**{**facts, **{name: directory / facts[name] for name in names}})
