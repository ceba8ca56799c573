# SPDX-License-Identifier: MIT
"""Build Debian guests whose initramfs comes from another package of Debian's."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness import cache, disk
from harness import guest as guests
from harness.guest import Guest, Progress
from harness.privilege import in_tree, run


@dataclass(frozen=True)
class Peer:
    """Packages in place of dracut, and their command that builds an initramfs for kernel {kver}."""

    about: str
    packages: tuple[str, ...]
    command: str


# The modules for ext4 on a virtio disk, with crc32c, which ext4's list of dependencies lacks.
_TINY = "virtio_pci,virtio_blk,ext4,crc32c_generic"

PEERS = {
    "initramfs-tools": Peer(
        "one initramfs, built by Debian's initramfs-tools",
        ("initramfs-tools",),
        "update-initramfs -c -k {kver}",
    ),
    "dracut-squash": Peer(
        "one initramfs, built by dracut with most of it in a SquashFS",
        ("dracut", "dracut-squash"),
        "dracut -f --no-hostonly --add squash --kver {kver}",
    ),
    "tiny-initramfs": Peer(
        "a C program and the modules of this machine only, without stage 2",
        ("dracut", "tiny-initramfs-core"),
        f"mktirfs -m no --include-modules={_TINY} -o /boot/initrd.img-{{kver}} {{kver}}",
    ),
}


def _base(name: str, progress: Progress) -> Path:
    """Build, or find in the cache, a tar file of a tree whose kernel has no initramfs yet."""
    packages = [*(one for one in guests.PACKAGES if one != "dracut"), *PEERS[name].packages]

    def build(directory: Path) -> None:
        progress(f"building a Debian tree with {name} (about a minute)")
        line = ["env", "INITRD=No", "mmdebstrap", "--quiet", "--variant=apt", "--format=tar"]
        line += [] if os.geteuid() == 0 else ["--mode=unshare"]
        line += ["--include=" + ",".join((*packages, "linux-image-amd64"))]
        line += [guests.SUITE, str(directory / "base.tar")]
        mirror = os.environ.get(guests.MIRROR)
        run(line + ([mirror] if mirror else []))

    key = cache.digest(guests.SUITE, *packages)
    return cache.built("peer-base@" + name, key, build) / "base.tar"


def guest(name: str, progress: Progress) -> Guest:
    """Build the guest, or find it in the cache. It has no image; it boots its plain initramfs."""

    def build(directory: Path) -> None:
        tree = directory / "tree"
        try:
            guests.extract(tar, tree)
            guests.configure(tree)
            kver = guests.kernel_version(tree)
            progress("building an initramfs with " + name)
            command = PEERS[name].command.format(kver=kver).split()
            run(in_tree(tree, command), directory / "log")
            shutil.copy(tree / f"boot/initrd.img-{kver}", directory / "plain-initrd")
            guests.finish(directory, tree, kver)
        finally:
            cache.remove(tree)

    tar = _base(name, progress)
    parts = [Path(module.__file__ or "") for module in (guests, disk)]
    parts.append(Path(guests.__file__).with_name("inside") / "collect.py")
    key = cache.digest(tar.parent.name, PEERS[name].command, *parts)
    directory = cache.built("peer-guest@" + name, key, build)
    facts = json.loads((directory / "guest.json").read_text())
    names = ("kernel", "initrd", "plain_initrd", "disk")
    return Guest(**{**facts, **{name: directory / facts[name] for name in names}})
