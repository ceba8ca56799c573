# SPDX-License-Identifier: MIT
"""What initoverlayfs-install runs and publishes, on a target that only notes it down."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import cpio
from initoverlayfs.build import dracut
from initoverlayfs.errors import Failure
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target


class Noted(Target):
    """Notes the commands that would run in it, which say nothing."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.lines: list[list[str]] = []

    def run(self, argv: Sequence[str]) -> str:
        self.lines.append(list(argv))
        return ""


def settings(text: str) -> InstallSettings:
    found = InstallSettings()
    found.read_configuration(text)
    assert found.warnings == []
    return found


def job(tmp_path: Path, text: str) -> "tuple[dracut.Job, Noted]":
    target = Noted(tmp_path)
    return dracut.Job(target, "6.12.1", "/work", settings(text)), target


def test_the_builders_of_the_configuration(tmp_path: Path) -> None:
    one, target = job(tmp_path, 'initrd_builder dracut --add "a b"\n')
    one.dracut("initrd_builder", "mini", "-m", "initoverlayfs")
    one.dracut("initoverlayfs_builder", "cpio")
    first, second = target.lines
    always = ["--force", "--reproducible", "--tmpdir", "/work"]
    assert first[:7] == ["dracut", "--add", "a b", *always]
    assert first[7:] == ["-m", "initoverlayfs", "/work/mini", "6.12.1"]
    assert second == ["dracut", *always, "/work/cpio", "6.12.1"]


def test_the_choice_of_drivers(tmp_path: Path) -> None:
    for text, option in (("yes", ["--hostonly"]), ("no", ["--no-hostonly"]), ("auto", [])):
        one, target = job(tmp_path, f"hostonly {text}\n")
        one.dracut("initrd_builder", "mini")
        assert target.lines[0][5:-2] == option


def test_the_dracut_module_of_mode_and_runtime(tmp_path: Path) -> None:
    for text, module in (
        ("", "initoverlayfs"),
        ("initoverlayfs_init systemd\n", "initoverlayfs-systemd"),
        ("initoverlayfs_init systemd\nruntime python3\n", "initoverlayfs-python3"),
    ):
        one, target = job(tmp_path / (module + "-tree"), text)
        one.path("").mkdir(parents=True)
        one.path("mini").write_bytes(cpio.write([cpio.entry("etc/passwd")]))
        with pytest.raises(Failure, match="without init:"):
            dracut.mini(one)
        line = target.lines[0]
        assert line[line.index("-m") + 1] == module


@pytest.mark.parametrize(("text", "added"), [("", True), ("coldplug all\n", False)])
def test_dracut_makes_the_image_alone_where_that_is_wanted(
    tmp_path: Path, text: str, added: bool
) -> None:
    one, target = job(tmp_path, text)
    with pytest.raises(Failure):  # no dracut, no content
        dracut.image(one)
    assert ("initoverlayfs-stage2" in target.lines[0]) is added


def test_the_umask_counts_for_nothing(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        Target(Path("/")).run(["touch", str(tmp_path / "made")])
    finally:
        os.umask(before)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o644


def test_builders_that_cannot_be_run(tmp_path: Path) -> None:
    for text, reason in (
        ("initrd_builder nosuch -x\n", "initrd_builder: no nosuch in "),
        ("initoverlayfs_builder dracut 'x\n", "No closing quotation: correct it in /etc/"),
    ):
        (tmp_path / "usr/bin").mkdir(parents=True, exist_ok=True)
        (tmp_path / "usr/bin/dracut").touch(0o755)
        with pytest.raises(Failure, match=reason):
            dracut.require_builders(Target(tmp_path), settings(text))
    dracut.require_builders(Target(tmp_path), InstallSettings())


def test_what_is_mapped_has_small_clusters(tmp_path: Path) -> None:
    one, _ = job(tmp_path, "")
    (tmp_path / "work").mkdir()
    dracut.require_compressor(one)
    lines = (tmp_path / "work/hints").read_text().splitlines()
    found = [line.split(" ", 1) for line in lines]
    assert {size for size, _ in found} == {"8192"}
    mapped = [
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        "usr/lib64/libz.so",
        *("usr/bin/udevadm", "usr/sbin/init", "bin/sh"),
        *("usr/lib/systemd/systemd-journald", "usr/lib/udev/scsi_id"),
    ]
    read = [
        "usr/lib/modules/6.12/kernel/fs/xfs/xfs.ko",
        "usr/lib/firmware/some.sof",
        *("usr/lib/udev/rules.d/60-block.rules", "usr/lib/systemd/system/initrd.target"),
    ]
    for name in mapped + read:
        assert any(re.search(pattern, name) for _, pattern in found) == (name in mapped), name


def test_the_compression_of_the_configuration(tmp_path: Path) -> None:
    for text, options in (
        ("", ["-zlz4hc,6", "-C65536"]),
        ("erofs_compression zstd,level=3\n", ["-zzstd,level=3", "-C65536"]),
        ("erofs_compression none\n", []),
    ):
        one, target = job(tmp_path, text)
        (tmp_path / "work").mkdir(exist_ok=True)
        dracut.require_compressor(one)
        (line,) = target.lines
        assert line[0] == "mkfs.erofs" and line[1:-6] == options, line
        assert line[-6] == "--compress-hints=/work/hints"
        (tmp_path / "work/empty").rmdir()
