# SPDX-License-Identifier: MIT
from pathlib import Path

import pytest

from initoverlayfs import bootfs
from initoverlayfs.bootfs import BootFilesystem, find, fstab, mountinfo
from initoverlayfs.errors import Failure
from initoverlayfs.target import Target


def tree(path: Path, text: str) -> Target:
    (path / "etc").mkdir()
    (path / "etc/fstab").write_text(text)
    return Target(path)


def test_fstab_with_comments_blanks_and_escapes() -> None:
    entries = fstab(
        "# a comment\n\nUUID=1 / ext4\nLABEL=my\\040boot /boot vfat ro,noatime 0 2\n/x\n"
    )
    assert [(e.source, e.point, e.fstype, e.options) for e in entries] == [
        ("UUID=1", "/", "ext4", ""),
        ("LABEL=my boot", "/boot", "vfat", "ro,noatime"),
    ]


def test_mountinfo_with_and_without_optional_fields() -> None:
    entries = mountinfo(
        "36 35 98:0 /@ /boot rw,noatime shared:1 master:2 - btrfs /dev/sda1 rw,subvol=/@\n"
        "37 35 98:1 / /mnt\\011x rw - ext4 /dev/sdb1 rw\n"
        "nonsense\n"
    )
    assert [(e.source, e.point, e.fstype, e.root) for e in entries] == [
        ("/dev/sda1", "/boot", "btrfs", "/@"),
        ("/dev/sdb1", "/mnt\tx", "ext4", "/"),
    ]


def test_a_boot_partition_of_its_own(tmp_path: Path) -> None:
    target = tree(tmp_path, 'UUID=aa / ext4\nUUID="bb" /boot vfat\n')
    assert find(target) == BootFilesystem("UUID=bb", "vfat", "", "/boot")
    assert find(target).directory == ""
    assert find(target).mounted_path("/x.img") == "/boot/x.img"


def test_boot_is_a_directory_of_the_root_filesystem(tmp_path: Path) -> None:
    found = find(tree(tmp_path, "LABEL=root / ext4 defaults 0 1\n"))
    assert found == BootFilesystem("LABEL=root", "ext4", "", "/")
    assert found.directory == "/boot"
    assert found.mounted_path("/boot/x.img") == "/boot/x.img"


def test_a_subvolume_becomes_a_mount_option(tmp_path: Path) -> None:
    found = find(tree(tmp_path, "UUID=aa /boot btrfs noatime,subvol=@boot,compress=zstd\n"))
    assert found == BootFilesystem("UUID=aa", "btrfs", "subvol=@boot", "/boot")


def test_a_bind_mount_is_seen_through() -> None:
    found = BootFilesystem("UUID=aa", "ext4", "", "/boot", "/data/boot")
    assert found.directory == "/data/boot"
    assert found.mounted_path("/data/boot/x.img") == "/boot/x.img"
    with pytest.raises(Failure, match="image /x.img is not below /data/boot"):
        found.mounted_path("/x.img")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no filesystem for /boot or /"),
        ("UUID=aa /boot zfs\n", "/boot is zfs, which storage-init cannot boot from"),
        ("/dev/mapper/vg-boot /boot ext4\n", "no UUID is known of /boot"),
        ("PARTUUID=aa /boot ext4\n", "no UUID is known of /boot"),
    ],
)
def test_what_storage_init_could_not_find_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(Failure, match=message):
        find(tree(tmp_path, text))


def test_no_fstab(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="write `bootfs UUID=...` into"):
        find(Target(tmp_path))


def test_a_device_path_is_kept_where_no_uuid_is_known(tmp_path: Path) -> None:
    assert find(tree(tmp_path, "/dev/vda1 /boot auto\n")).reference == "/dev/vda1"


def test_same_compares_without_case(tmp_path: Path) -> None:
    boot = BootFilesystem("UUID=AB-CD", "vfat", "", "/boot")
    assert bootfs.same(Target(tmp_path), "UUID=ab-cd", boot)
    assert not bootfs.same(Target(tmp_path), "LABEL=boot", boot)
