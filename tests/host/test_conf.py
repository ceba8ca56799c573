# SPDX-License-Identifier: MIT
"""Reading and writing initoverlayfs.conf."""

import os
from pathlib import Path

import pytest

from initoverlayfs.errors import Failure
from initoverlayfs.install import conf
from initoverlayfs.machine.bootfs import BootFilesystem
from storage_init.config.settings import Settings

BOOT = BootFilesystem("UUID=aa", "btrfs", "subvol=@", "/")


def test_storage_init_reads_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    assert conf.write(path, BOOT, {})
    warnings: list[str] = []
    settings = conf.read(path, warnings.append)
    assert (settings.bootfs, settings.bootfstype, settings.bootflags, settings.fs) == (
        "UUID=aa",
        "btrfs",
        "subvol=@",
        "/boot/initoverlayfs-%v.img",
    )
    assert warnings == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["initoverlayfs.conf"]


def test_default_image_is_that_of_storage_init() -> None:
    assert Settings().fs == conf.DEFAULT_IMAGE


def test_only_an_empty_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    path.write_text("\n \n")
    assert conf.write(path, BOOT, {})
    path.write_text("bootfs=LABEL=mine\n")
    assert not conf.write(path, BOOT, {})
    assert path.read_text() == "bootfs=LABEL=mine\n"


def test_file_without_bootfs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    path.write_text("timeout 5\n")
    with pytest.raises(Failure, match="does not set bootfs: add the line `bootfs UUID=aa`"):
        conf.write(path, BOOT, {})
    assert path.read_text() == "timeout 5\n"


def test_warning_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    path.write_text("bootfs UUID=aa\nbootsf UUID=aa\n")
    warnings: list[str] = []
    conf.read(path, warnings.append)
    assert warnings == ["/etc/initoverlayfs.conf:2: unknown key 'bootsf' ignored"]


def test_options_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    assert conf.write(path, BOOT, {"initoverlayfs_init": "systemd", "hostonly": "no"})
    warnings: list[str] = []
    settings = conf.read(path, warnings.append)
    assert (settings.initoverlayfs_init, settings.hostonly) == ("systemd", "no")
    assert warnings == []
    assert "initoverlayfs_init" not in conf.default_text(BOOT)
    # The same option again, or none.
    assert not conf.write(path, BOOT, {"initoverlayfs_init": "systemd"})
    assert not conf.write(path, BOOT, {})


def test_changed_option_replaces_only_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    path.write_text("bootfs LABEL=a\n runtime=python3 # why\nruntimes x\n#hostonly no\ntimeout 9")
    path.chmod(0o640)
    assert conf.write(path, BOOT, {"runtime": "micropython", "hostonly": "yes"})
    lines = ["bootfs LABEL=a", "runtimes x", "#hostonly no", "timeout 9"]
    lines += ["runtime micropython", "hostonly yes"]
    assert path.read_text().splitlines() == lines
    assert path.stat().st_mode & 0o777 == 0o640


def test_invalid_utf8_is_preserved(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    path.write_bytes(b"bootfs LABEL=a # \xe9\n")
    assert conf.write(path, BOOT, {"hostonly": "yes"})
    assert path.read_bytes() == b"bootfs LABEL=a # \xe9\nhostonly yes\n"


def test_file_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    before = os.umask(0o077)
    try:
        conf.write(path, BOOT, {})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644
