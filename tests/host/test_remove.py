# SPDX-License-Identifier: MIT
"""The files that initoverlayfs-install --remove removes, and above all those that it keeps."""

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
    """A directory tree with installed kernels. Each file on its /boot is a mini-initramfs."""

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

    def create(self, *names: str) -> None:
        for name in names:
            (self.root / "boot" / name).write_bytes(unbound())

    def boot(self) -> "set[str]":
        return {path.name for path in (self.root / "boot").iterdir()}


def named(release: str, names: Sequence[str] = NAMES) -> "list[str]":
    return [name.format(release) for name in names]


# One release is a prefix of the other, or has characters that are special to a shell.
@pytest.mark.parametrize(
    ("release", "other"),
    [
        *(("6.1.0-1", "6.1.0-10"), ("6.1.0-10", "6.1.0-1"), ("6.1", "6.1.0")),
        *(("6.*", "6.1"), ("6.[0-9]", "6.1"), ("$(rm -r x); y", "y"), ("-f", "f"), ("a b", "a")),
    ],
)
def test_only_files_of_this_release_are_removed(tmp_path: Path, release: str, other: str) -> None:
    tree = Tree(tmp_path, release, other)
    kept = [*named(other), *named(other, KERNELS), *named(release, KERNELS)]
    tree.create(*named(release), *kept)
    message = remove.remove(tree, release)
    assert tree.boot() == set(kept)
    assert message.startswith("Removed: ") and f" initrd.img-{release}.dracut" in message
    assert remove.remove(tree, release) == f"Linux {release} has no files to remove."


def test_initramfs_of_another_kernel_is_kept(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "6.1", "6.1.dracut")
    tree.create("initrd.img-6.1", "initrd.img-6.1.dracut", "initoverlayfs-6.1.img")
    remove.remove(tree, "6.1")
    assert tree.boot() == {"initrd.img-6.1.dracut"}


def test_image_for_all_kernels_is_removed_with_the_last_one(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "6.1", "6.12", conf="bootfs UUID=bb\nfs /image\n")
    shared = {"image", "image.previous", "image.new", "initrd.img-6.12"}
    tree.create(*shared, "initrd.img-6.1")
    remove.remove(tree, "6.1")
    assert tree.boot() == shared
    (tmp_path / "usr/lib/modules/6.1/modules.dep").unlink()
    remove.remove(tree, "6.12")
    assert tree.boot() == set()


def test_plain_initramfs_is_kept(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.create("initoverlayfs-6.1.img")
    (tmp_path / "boot/initrd.img-6.1").write_bytes(PLAIN)
    remove.remove(tree, "6.1")
    assert tree.boot() == {"initrd.img-6.1"}


def test_symbolic_link_is_removed_and_its_target_kept(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.create("kept")
    (tmp_path / "boot/initoverlayfs-6.1.img").symlink_to("kept")
    (tmp_path / "boot/initoverlayfs-6.1.img.previous").symlink_to("missing")
    remove.remove(tree, "6.1")
    assert tree.boot() == {"kept"}


@pytest.mark.parametrize("release", ["", ".", "..", "../boot/x", "a/b"])
def test_invalid_release_is_refused(tmp_path: Path, release: str) -> None:
    tree = Tree(tmp_path)
    with pytest.raises(Failure, match=": not the release of a kernel$"):
        remove.remove(tree, release)


def test_working_directory_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    work = tmp_path / "var/cache/initoverlayfs/work"
    work.mkdir(parents=True)
    remove.remove(tree, "6.1")
    assert not work.exists()
