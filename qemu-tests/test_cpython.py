# SPDX-License-Identifier: MIT
"""Runtime python3 in systemd mode: CPython, cffi and pyudev run storage-init."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness import boot, cpio
from harness.guest import Guest
from harness.guest import guest as build_guest
from harness.machine import Drive
from harness.vm import VM

# The first test also builds the guest.
pytestmark = pytest.mark.timeout(900)

WITH_PYUDEV = r"initoverlayfs: receiving udev events through pyudev"


@pytest.fixture(scope="module")
def python_guest(deb: Path) -> Guest:
    """Build the Debian guest, and its pair with --mode systemd --runtime python3."""
    return build_guest(deb, mode="systemd", runtime="python3")


@pytest.mark.slow
def test_debian_reaches_multi_user(python_guest: Guest) -> None:
    """Debian boots from a disk that is plugged in while storage-init waits: pyudev reports it."""
    machine = boot.options(python_guest)
    late = replace(machine, drives=(Drive(python_guest.disk, plugged=False),))

    def plug_in(vm: VM) -> None:
        vm.wait_console(WITH_PYUDEV, timeout=120)
        vm.plug(0)

    booted = boot.boot(late, meanwhile=plug_in)
    assert booted.faults == [], booted.tail
    assert booted.report["failed_units"] == []
    assert booted.report["boot"]["mode"] == "systemd"
    logged = [line for line in booted.report["journal"] if "storage-init[" in line]
    for pattern in (
        r"initoverlayfs: storage-init \S+ on Linux \S+, CPython 3\.13\.\d+, ",
        r"initoverlayfs: attempts: image, previous, then emergency\.target; they wait at most 30 s",
        WITH_PYUDEV + "$",
        r"initoverlayfs: boot filesystem UUID=\S+ is /dev/vda1 \(ext4\)",
    ):
        assert re.search(pattern, logged.pop(0)), booted.report["journal"]


def test_mini_initramfs_contains_cpython(python_guest: Guest) -> None:
    """The mini-initramfs contains CPython and its bytecode; the plain initramfs has no Python."""
    entries = {entry.name: entry for entry in cpio.read(python_guest.initrd.read_bytes())}
    assert entries["usr/bin/storage-init"].data.startswith(b"#!/usr/bin/python3 -I")
    packages = "usr/lib/python3/dist-packages"
    assert f"{packages}/storage_init/_syscalls.abi3.so" in entries
    sources = {name for name in entries if re.match(r"usr/lib/python3[.0-9]*/.*\.py$", name)}
    assert f"{packages}/storage_init/main.py" in sources and len(sources) < 150
    for name in sources:  # without its .pyc file, every boot would compile it
        above, _, name = name[: -len(".py")].rpartition("/")
        assert f"{above}/__pycache__/{name}.cpython-313.pyc" in entries
    plain = {entry.name for entry in cpio.read(python_guest.plain_initrd.read_bytes())}
    assert not any("python" in name for name in plain)
