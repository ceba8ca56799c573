# SPDX-License-Identifier: MIT
"""The files with which CPython runs storage-init. QEMU tests boot the mini-initramfs with them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NEEDED = ROOT / "dracut/92initoverlayfs-python3/needed.py"


def needed(*arguments: str, python: Sequence[str] = ()) -> "list[str]":
    """Run the script and return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, *python, NEEDED, *arguments],
        env={"PYTHONPATH": str(ROOT), "LC_ALL": "C"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def test_files_of_interpreter_libraries_and_storage_init() -> None:
    files = needed()
    assert all(os.path.isabs(name) and os.path.exists(name) for name in files)
    suffixes = [
        *("/storage_init/main.py", "/boot/service.py", "/devices/udev.py"),
        *("/storage_init/_syscalls.abi3.so", "/pyudev/monitor.py", "/os.py", "/encodings/ascii.py"),
    ]
    assert not [end for end in suffixes if not any(name.endswith(end) for name in files)]
    names = {os.path.basename(name) for name in files}
    assert any(name.startswith("_cffi_backend.") for name in names)
    assert any(name.startswith("libudev.so.1") for name in names)
    assert sys.executable in files and str(NEEDED) not in files
    # Of the standard library only what it imports.
    assert not names & {"argparse.py", "unittest", "ssl.py", "pdb.py"} and len(files) < 200


def test_missing_modules_are_listed_with_their_packages() -> None:
    assert needed("--missing") == []
    assert needed("--missing", python=["-I"]) == ["storage_init._syscalls initoverlayfs"]
    assert needed("--missing", python=["-I", "-S"]) == [
        "_cffi_backend python3-cffi-backend",
        "pyudev python3-pyudev",
    ]


def test_extension_does_not_contain_build_directories() -> None:
    data = (ROOT / "storage_init/_syscalls.abi3.so").read_bytes()
    assert os.fsencode(ROOT) not in data and os.fsencode(sys.base_prefix) + b"/lib" not in data
