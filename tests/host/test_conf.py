# SPDX-License-Identifier: MIT
import os
from pathlib import Path

import pytest

from initoverlayfs.errors import Failure
from initoverlayfs.install import conf
from initoverlayfs.machine.bootfs import BootFilesystem
from storage_init.config.settings import Settings

BOOT = BootFilesystem("UUID=aa", "btrfs", "subvol=@", "/")


def test_what_is_written_is_what_storage_init_reads(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    assert conf.complete(path, BOOT, {})
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


def test_the_default_image_is_storage_inits_default() -> None:
    assert Settings().fs == conf.DEFAULT_IMAGE


def test_an_empty_file_is_filled_and_a_users_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    path.write_text("\n \n")
    assert conf.complete(path, BOOT, {})
    path.write_text("bootfs=LABEL=mine\n")
    assert not conf.complete(path, BOOT, {})
    assert path.read_text() == "bootfs=LABEL=mine\n"


def test_a_users_file_without_bootfs_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    path.write_text("timeout 5\n")
    with pytest.raises(Failure, match="does not set bootfs: add the line `bootfs UUID=aa`"):
        conf.complete(path, BOOT, {})
    assert path.read_text() == "timeout 5\n"


def test_warnings_name_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    path.write_text("bootfs UUID=aa\nbootsf UUID=aa\n")
    warnings: list[str] = []
    conf.read(path, warnings.append)
    assert warnings == ["/etc/initoverlayfs.conf:2: unknown key 'bootsf' ignored"]


def test_the_mode_asked_for_is_kept_for_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    assert conf.complete(path, BOOT, {"initoverlayfs_init": "systemd", "hostonly": "no"})
    warnings: list[str] = []
    settings = conf.read(path, warnings.append)
    assert (settings.initoverlayfs_init, settings.hostonly) == ("systemd", "no")
    assert warnings == []
    assert "initoverlayfs_init" not in conf.text(BOOT)
    # said again, or not at all
    assert not conf.complete(path, BOOT, {"initoverlayfs_init": "systemd"})
    assert not conf.complete(path, BOOT, {})


def test_another_choice_takes_the_place_of_the_one_in_the_users_file(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    path.write_text("bootfs LABEL=a\n runtime=python3 # why\nruntimes x\n#hostonly no\ntimeout 9")
    path.chmod(0o640)
    assert conf.complete(path, BOOT, {"runtime": "micropython", "hostonly": "yes"})
    lines = ["bootfs LABEL=a", "runtimes x", "#hostonly no", "timeout 9"]
    lines += ["runtime micropython", "hostonly yes"]
    assert path.read_text().splitlines() == lines
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_is_no_utf8_stays(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    path.write_bytes(b"bootfs LABEL=a # \xe9\n")
    assert conf.complete(path, BOOT, {"hostonly": "yes"})
    assert path.read_bytes() == b"bootfs LABEL=a # \xe9\nhostonly yes\n"


def test_whoever_runs_it_the_file_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "initoverlayfs.conf"
    before = os.umask(0o077)
    try:
        conf.complete(path, BOOT, {})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644
