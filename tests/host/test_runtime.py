# SPDX-License-Identifier: MIT
"""What --runtime python3 needs: refusals, and the list of files that CPython runs storage-init by.

The mini-initramfs that comes of it is proven in QEMU.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import cpio
from initoverlayfs.build import dracut
from initoverlayfs.errors import Failure
from initoverlayfs.target import Target

ROOT = Path(__file__).resolve().parent.parent.parent
DIRECTORY = "dracut/92initoverlayfs-python3"
NEEDED = ROOT / DIRECTORY / "needed.py"


class FakeTarget(Target):
    """A tree that has the dracut module, and where each command says the same."""

    def __init__(self, root: Path, said: str) -> None:
        super().__init__(root)
        self.said = said
        self.ran: list[list[str]] = []
        path = self.path("/usr/lib/dracut/modules.d/92initoverlayfs-python3/needed.py")
        path.parent.mkdir(parents=True)
        path.touch()

    def run(self, argv: Sequence[str]) -> str:
        self.ran.append(list(argv))
        return self.said


def test_it_needs_systemd_mode(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="mode is init: add --mode systemd, or --runtime micropython"):
        dracut.require_runtime(Target(tmp_path), "init", "python3")


def test_it_needs_the_dracut_module(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="needed.py: install initoverlayfs there$"):
        dracut.require_runtime(Target(tmp_path), "systemd", "python3")


def test_it_needs_the_modules(tmp_path: Path) -> None:
    target = FakeTarget(tmp_path, "_cffi_backend python3-cffi-backend\npyudev python3-pyudev\n")
    with pytest.raises(Failure) as failure:
        dracut.require_runtime(target, "systemd", "python3")
    assert str(failure.value) == (
        f"runtime python3: python3 in {tmp_path} has no _cffi_backend, pyudev: install there"
        " what Debian calls python3-cffi-backend, python3-pyudev"
    )
    assert [line[:2] for line in target.ran] == [["python3", "-I"]]


def test_nothing_to_refuse(tmp_path: Path) -> None:
    target = FakeTarget(tmp_path, "")
    dracut.require_runtime(target, "systemd", "python3")
    assert len(target.ran) == 1
    for mode in dracut.MODES:
        dracut.require_runtime(target, mode, "micropython")
    assert len(target.ran) == 1


def test_what_cpython_unpacks_to(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    files = {
        "usr/lib/python3/dist-packages/a.py": 100,
        "usr/bin/python3": 10,  # a symbolic link
        "./usr/bin/python3.13": 5000,
        "usr/bin/bash": 70000,
    }
    first = cpio.write([cpio.entry("usr/lib/initoverlayfs/image", b"x" * 7)])
    path.write_bytes(first + cpio.write([cpio.entry(name, bytes(files[name])) for name in files]))
    assert dracut.cpython_size(path) == 5110
    path.write_bytes(first)
    assert dracut.cpython_size(path) == 0


def needed(*arguments: str, python: Sequence[str] = ()) -> "list[str]":
    """The lines that the script prints."""
    done = subprocess.run(
        [sys.executable, *python, NEEDED, *arguments],
        env={"PYTHONPATH": str(ROOT), "LC_ALL": "C"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def test_the_files() -> None:
    files = needed()
    assert all(os.path.isabs(name) and os.path.exists(name) for name in files)
    ends = [
        *("/storage_init/main.py", "/boot/service.py", "/devices/udev.py"),
        *("/storage_init/_syscalls.abi3.so", "/pyudev/monitor.py", "/os.py", "/encodings/ascii.py"),
    ]
    assert not [end for end in ends if not any(name.endswith(end) for name in files)]
    names = {os.path.basename(name) for name in files}
    assert any(name.startswith("_cffi_backend.") for name in names)
    assert any(name.startswith("libudev.so.1") for name in names)
    assert sys.executable in files and str(NEEDED) not in files
    # not the whole of the standard library
    assert not names & {"argparse.py", "unittest", "ssl.py", "pdb.py"} and len(files) < 200


def test_what_is_missing() -> None:
    assert needed("--missing") == []
    assert needed("--missing", python=["-I"]) == ["storage_init._syscalls initoverlayfs"]
    assert needed("--missing", python=["-I", "-S"]) == [
        "_cffi_backend python3-cffi-backend",
        "pyudev python3-pyudev",
    ]


def test_the_extension_has_no_directory_of_its_building_in_it() -> None:
    data = (ROOT / "storage_init/_syscalls.abi3.so").read_bytes()
    assert os.fsencode(ROOT) not in data and os.fsencode(sys.base_prefix) + b"/lib" not in data
