# SPDX-License-Identifier: MIT
"""The mini-initramfs: the command line that dracut gets, and the check of its result."""

from pathlib import Path

import pytest
from host_support import RELEASE, Dracut

from harness import cpio
from initoverlayfs.build import mini
from initoverlayfs.errors import Failure

DRIVER = "usr/lib/modules/6.12.1/kernel/drivers/ata/ahci.ko.xz"


@pytest.fixture
def dracut(tmp_path: Path) -> Dracut:
    """A dracut whose mini-initramfs has the files of every mode and the driver ahci."""
    dracut = Dracut(tmp_path)
    names = {name for mode in mini.MODES.values() for name in mode.files}
    dracut.prepare([*sorted(names), "usr/bin/python3", DRIVER])
    return dracut


def test_dracut_writes_into_the_working_directory(dracut: Dracut) -> None:
    job = dracut.job()
    assert mini.build(job) == job.path("mini")
    requested = dracut.requested(job, "mini")
    assert (requested["output"], requested["kernel"]) == (f"{job.work}/mini", RELEASE)
    assert requested["tmpdir"] == job.work
    assert requested["force"] and requested["reproducible"]


def test_builder_setting_adds_options(dracut: Dracut) -> None:
    job = dracut.job(options='--add "a b"')
    mini.build(job)
    assert dracut.requested(job, "mini")["add"] == "a b"


@pytest.mark.parametrize(
    ("text", "hostonly", "no_hostonly"),
    [("yes", True, False), ("no", False, True), ("auto", False, False)],
)
def test_hostonly_setting(dracut: Dracut, text: str, hostonly: bool, no_hostonly: bool) -> None:
    job = dracut.job(f"hostonly {text}\n")
    mini.build(job)
    requested = dracut.requested(job, "mini")
    assert (requested["hostonly"], requested["no_hostonly"]) == (hostonly, no_hostonly)


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("", "initoverlayfs"),
        ("initoverlayfs_init systemd\n", "initoverlayfs-systemd"),
        ("initoverlayfs_init systemd\nruntime python3\n", "initoverlayfs-python3"),
    ],
)
def test_dracut_module_follows_mode_and_runtime(dracut: Dracut, text: str, module: str) -> None:
    job = dracut.job(text)
    mini.build(job)
    assert dracut.requested(job, "mini")["modules"] == module


@pytest.mark.parametrize(
    ("text", "verity"), [("", "no"), ("hash_tree yes\n", "yes"), ("verity require\n", "yes")]
)
def test_dracut_configuration_names_drivers_and_verity(
    dracut: Dracut, text: str, verity: str
) -> None:
    job = dracut.job(text, drivers=["ahci"])
    mini.build(job)
    conf = Path(dracut.requested(job, "mini")["conf"]).read_text().splitlines()
    assert 'add_drivers+=" ahci "' in conf and f"initoverlayfs_verity={verity}" in conf


def test_missing_file_fails(dracut: Dracut) -> None:
    dracut.prepare(["init"])
    with pytest.raises(Failure, match="mini-initramfs without etc/initoverlayfs.conf: add -v"):
        mini.build(dracut.job())


def test_missing_driver_fails(dracut: Dracut) -> None:
    with pytest.raises(Failure, match="mini-initramfs without vmd, which .* requires to reach"):
        mini.build(dracut.job(drivers=["vmd", "ahci"]))


def test_cpython_size_counts_interpreter_and_library(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    files = {
        "usr/lib/python3/dist-packages/a.py": 100,
        "usr/bin/python3": 10,  # a symbolic link
        "./usr/bin/python3.13": 5000,
        "usr/bin/bash": 70000,
    }
    first = cpio.write([cpio.entry("usr/lib/initoverlayfs/image", b"x" * 7)])
    path.write_bytes(first + cpio.write([cpio.entry(name, bytes(files[name])) for name in files]))
    assert mini.cpython_size(path) == 5110
    path.write_bytes(first)
    assert mini.cpython_size(path) == 0
