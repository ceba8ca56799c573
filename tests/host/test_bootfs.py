# SPDX-License-Identifier: MIT
"""The boot filesystem, from fstab and from the mounts of the running system."""

import json
from pathlib import Path

import pytest
from host_support import AnsweringTarget

from initoverlayfs.errors import Failure
from initoverlayfs.machine import bootfs
from initoverlayfs.machine.bootfs import BootFilesystem, find, fstab
from initoverlayfs.target import Target


def tree(path: Path, text: str) -> Target:
    (path / "etc").mkdir()
    (path / "etc/fstab").write_text(text)
    return Target(path)


def test_fstab_has_comments_blank_lines_and_escapes() -> None:
    entries = fstab(
        "# a comment\n\nUUID=1 / ext4\nLABEL=my\\040boot /boot vfat ro,noatime 0 2\n/x\n"
    )
    assert [(e.source, e.mount_point, e.fstype, e.options) for e in entries] == [
        ("UUID=1", "/", "ext4", ""),
        ("LABEL=my boot", "/boot", "vfat", "ro,noatime"),
    ]


class Running(AnsweringTarget):
    """The running system, without fstab. mounts: as findmnt lists them. blkid: the UUID is aa."""

    is_running_system = True

    def __init__(self, root: Path, *mounts: "tuple[str, str, str, str, str, str]") -> None:
        names = ("source", "target", "fstype", "options", "fsroot", "maj:min")
        filesystems = [dict(zip(names, mount)) for mount in mounts]
        super().__init__(root, findmnt=json.dumps({"filesystems": filesystems}), blkid="aa\n")


def test_mounted_filesystem_is_found(tmp_path: Path) -> None:
    boot = ("/dev/null", "/boot", "btrfs", "rw,subvol=/@", "/@", "0:30")
    found = find(Running(tmp_path, ("/dev/sdb1", "/", "xfs", "rw", "/", "8:17"), boot))
    assert found == BootFilesystem("UUID=aa", "btrfs", "subvol=/@", "/boot", "", "/dev/null")


def test_last_mount_on_a_directory_counts(tmp_path: Path) -> None:
    lower = ("/dev/sda1", "/boot", "vfat", "rw", "/", "8:1")
    found = find(Running(tmp_path, lower, ("/dev/null", "/boot", "ext4", "rw", "/", "8:2")))
    assert (found.device, found.fstype) == ("/dev/null", "ext4")


def test_boot_on_the_root_filesystem_is_detected(tmp_path: Path) -> None:
    root = ("/dev/null", "/", "xfs", "rw", "/", "8:1")
    assert find(Running(tmp_path, root)).with_root
    bind = ("/dev/null", "/boot", "xfs", "rw", "/data", "8:1")
    assert find(Running(tmp_path, root, bind)).with_root
    assert not find(Running(tmp_path, root, (*bind[:5], "8:2"))).with_root


def test_automount_is_ignored(tmp_path: Path) -> None:
    automount = ("systemd-1", "/boot", "autofs", "rw", "/", "0:40")
    found = find(Running(tmp_path, ("/dev/null", "/", "ext4", "rw", "/", "8:1"), automount))
    assert found.mount_point == "/"


def test_boot_has_its_own_partition(tmp_path: Path) -> None:
    target = tree(tmp_path, 'UUID=aa / ext4\nUUID="bb" /boot vfat\n')
    assert find(target) == BootFilesystem("UUID=bb", "vfat", "", "/boot")
    assert find(target).directory == ""
    assert find(target).mounted_path("/x.img") == "/boot/x.img"


def test_boot_is_a_directory_of_the_root_filesystem(tmp_path: Path) -> None:
    found = find(tree(tmp_path, "LABEL=root / ext4 defaults 0 1\n"))
    assert found == BootFilesystem("LABEL=root", "ext4", "", "/")
    assert found.directory == "/boot"
    assert found.mounted_path("/boot/x.img") == "/boot/x.img"


def test_subvolume_becomes_a_mount_option(tmp_path: Path) -> None:
    found = find(tree(tmp_path, "UUID=aa /boot btrfs noatime,subvol=@boot,compress=zstd\n"))
    assert found == BootFilesystem("UUID=aa", "btrfs", "subvol=@boot", "/boot")


def test_bind_mount_has_a_base_directory() -> None:
    found = BootFilesystem("UUID=aa", "ext4", "", "/boot", "/data/boot")
    assert found.directory == "/data/boot"
    assert found.mounted_path("/data/boot/x.img") == "/boot/x.img"
    with pytest.raises(
        Failure, match="image /x.img is not below /data/boot, the directory mounted on /boot: "
    ):
        found.mounted_path("/x.img")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no entry for /boot or /: add one"),
        ("UUID=aa /boot zfs\n", "/boot is zfs, which storage-init cannot mount: move /boot to"),
        (
            "/dev/mapper/vg-boot /boot ext4\n",
            "cannot determine the UUID of the filesystem of /boot",
        ),
        ("PARTUUID=aa /boot ext4\n", "cannot determine the UUID of the filesystem of /boot"),
    ],
)
def test_unusable_filesystem_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Failure, match=message):
        find(tree(tmp_path, text))


def test_missing_fstab_fails(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot determine the filesystem of /boot"):
        find(Target(tmp_path))


def test_device_path_is_used_without_uuid(tmp_path: Path) -> None:
    assert find(tree(tmp_path, "/dev/vda1 /boot auto\n")).reference == "/dev/vda1"


def test_same_ignores_case(tmp_path: Path) -> None:
    boot = BootFilesystem("UUID=AB-CD", "vfat", "", "/boot")
    assert bootfs.same(Target(tmp_path), "UUID=ab-cd", boot)
    assert not bootfs.same(Target(tmp_path), "LABEL=boot", boot)
