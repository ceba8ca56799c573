# SPDX-License-Identifier: MIT
"""What initoverlayfs-install --remove takes away, and above all what it leaves."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from pairs_support import PLAIN, unbound

from initoverlayfs.errors import Failure
from initoverlayfs.install import remove
from initoverlayfs.target import Target

FSTAB = "UUID=aa / ext4\nUUID=bb /boot ext4\n"

NAMES = (
    *("initrd.img-{}", "initrd.img-{}.dracut", "initrd.img-{}.previous"),
    *(".initrd.img-{}.tmp", ".initrd.img-{}.outgoing", ".initrd.img-{}.outgoing.tmp"),
    *("initramfs-{}.img", "initramfs-{}.img.dracut", "initramfs-{}.img.previous"),
    *("initoverlayfs-{}.img", "initoverlayfs-{}.img.previous", "initoverlayfs-{}.img.new"),
    ".initoverlayfs-{}.img.new.tmp",
)
KERNELS = ("vmlinuz-{}", "System.map-{}", "config-{}")


class Tree(Target):
    """A tree with kernels, where each file on /boot is a mini-initramfs."""

    def __init__(self, root: Path, *releases: str, conf: str = "bootfs UUID=bb\n") -> None:
        super().__init__(root)
        for directory in ("boot", "etc"):
            (root / directory).mkdir()
        (root / "etc/fstab").write_text(FSTAB)
        (root / "etc/initoverlayfs.conf").write_text(conf)
        for release in releases:
            modules = root / "usr/lib/modules" / release
            modules.mkdir(parents=True)
            (modules / "modules.dep").touch()

    def fill(self, *names: str) -> None:
        for name in names:
            (self.root / "boot" / name).write_bytes(unbound())

    def boot(self) -> "set[str]":
        return {path.name for path in (self.root / "boot").iterdir()}


def named(release: str, names: Sequence[str] = NAMES) -> "list[str]":
    return [name.format(release) for name in names]


# Prefixes of each other, words for a shell, and one that looks like a file kept for another.
@pytest.mark.parametrize(
    ("release", "other"),
    [
        *(("6.1.0-1", "6.1.0-10"), ("6.1.0-10", "6.1.0-1"), ("6.1", "6.1.0")),
        *(("6.*", "6.1"), ("6.[0-9]", "6.1"), ("$(rm -r x); y", "y"), ("-f", "f"), ("a b", "a")),
    ],
)
def test_this_version_and_no_other(tmp_path: Path, release: str, other: str) -> None:
    tree = Tree(tmp_path, release, other)
    left = [*named(other), *named(other, KERNELS), *named(release, KERNELS)]
    tree.fill(*named(release), *left)
    said = remove.remove(tree, release)
    assert tree.boot() == set(left)
    assert said.startswith("Removed: ") and f" initrd.img-{release}.dracut" in said
    assert remove.remove(tree, release) == f"Nothing is there for Linux {release}."


def test_what_another_kernel_boots_from_is_left(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "6.1", "6.1.dracut")
    tree.fill("initrd.img-6.1", "initrd.img-6.1.dracut", "initoverlayfs-6.1.img")
    remove.remove(tree, "6.1")
    assert tree.boot() == {"initrd.img-6.1.dracut"}


def test_an_image_for_all_kernels_goes_with_the_last(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "6.1", "6.12", conf="bootfs UUID=bb\nfs /image\n")
    shared = {"image", "image.previous", "image.new", "initrd.img-6.12"}
    tree.fill(*shared, "initrd.img-6.1")
    remove.remove(tree, "6.1")
    assert tree.boot() == shared
    (tmp_path / "usr/lib/modules/6.1/modules.dep").unlink()
    remove.remove(tree, "6.12")
    assert tree.boot() == set()


def test_an_initramfs_that_is_not_ours_is_left(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.fill("initoverlayfs-6.1.img")
    (tmp_path / "boot/initrd.img-6.1").write_bytes(PLAIN)
    remove.remove(tree, "6.1")
    assert tree.boot() == {"initrd.img-6.1"}


def test_a_symbolic_link_goes_and_not_what_it_points_to(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.fill("kept")
    (tmp_path / "boot/initoverlayfs-6.1.img").symlink_to("kept")
    (tmp_path / "boot/initoverlayfs-6.1.img.previous").symlink_to("missing")
    remove.remove(tree, "6.1")
    assert tree.boot() == {"kept"}


@pytest.mark.parametrize("release", ["", ".", "..", "../boot/x", "a/b"])
def test_what_is_no_release(tmp_path: Path, release: str) -> None:
    tree = Tree(tmp_path)
    with pytest.raises(Failure, match="no kernel is called that"):
        remove.remove(tree, release)


def test_a_work_of_a_run_that_died_goes_too(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    work = tmp_path / "var/cache/initoverlayfs/work"
    work.mkdir(parents=True)
    remove.remove(tree, "6.1")
    assert not work.exists()
