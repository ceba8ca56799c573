# SPDX-License-Identifier: MIT
"""Systemd mode: systemd and udev run in the mini-initramfs, and storage-init is a service."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness import boot, cpio
from harness.guest import Guest
from harness.guest import guest as build_guest
from harness.vm import VM

# The first test also builds the guest.
pytestmark = pytest.mark.timeout(900)

ABSENT_UUID = "1f0e0000-0000-4000-8000-00000000404e"


@pytest.fixture(scope="module")
def systemd_guest(deb: Path) -> Guest:
    """Build the Debian guest, and its pair with --mode systemd."""
    return build_guest(deb, mode="systemd")


ROOT_SYSTEMD = "Hostname set to <guest>"


@pytest.mark.first
def test_debian_switches_to_the_root_filesystem(systemd_guest: Guest) -> None:
    """Stage 2 and then the root filesystem's systemd start."""
    machine = boot.options(systemd_guest, append="systemd.log_target=kmsg")
    with VM(machine) as vm:
        vm.wait_console(ROOT_SYSTEMD, machine.timeout)
        console = vm.console
    order = ("pre-initoverlayfs-switch-root.service", "initrd-switch-root.target", ROOT_SYSTEMD)
    places = [console.index(text) for text in order]
    assert places == sorted(places)


@pytest.mark.slow
def test_debian_reaches_multi_user(systemd_guest: Guest) -> None:
    """The pre-initoverlayfs units boot Debian, and init= applies to the root filesystem only."""
    booted = boot.boot(boot.options(systemd_guest, append="init=/usr/lib/systemd/systemd"))
    assert booted.faults == [], booted.tail
    assert booted.report["failed_units"] == []
    assert booted.report["boot"]["mode"] == "systemd"
    journal = booted.report["journal"]
    sequence = (
        r"systemd\[1\]: Queued start job for default target pre-initoverlayfs\.target",
        r"systemd\[1\]: Reached target pre-initoverlayfs\.target",
        r"systemd\[1\]: Starting pre-initoverlayfs\.service",
        r"storage-init\[\d+\]: initoverlayfs: storage-init ",
        r"storage-init\[\d+\]: initoverlayfs: boot filesystem UUID=\S+ is /dev/vda1 \(ext4\)",
        r"storage-init\[\d+\]: initoverlayfs: image \S+ attached: ",
        r"storage-init\[\d+\]: initoverlayfs: mount overlay on /initoverlayfs ",
        r"systemd\[1\]: Finished pre-initoverlayfs\.service",
        r"systemd\[1\]: Starting pre-initoverlayfs-switch-root\.service",
    )
    start = 0
    for pattern in sequence:
        found = [
            number for number in range(start, len(journal)) if re.search(pattern, journal[number])
        ]
        assert found, f"no line matches {pattern!r} from line {start} on:\n" + "\n".join(journal)
        start = found[0] + 1


def test_device_never_appears(systemd_guest: Guest) -> None:
    """If no device has the UUID, storage-init logs a timeout once, and emergency.target starts."""
    words = f"rd.initoverlayfs.bootfs=UUID={ABSENT_UUID} rd.timeout=3 systemd.log_target=kmsg"
    machine = boot.options(systemd_guest, append=words)
    with VM(replace(machine, timeout=120)) as vm:
        vm.wait_console(r"Reached target .*emergency\.target", timeout=110)
        console = vm.console
    timeouts = re.findall(
        rf"initoverlayfs: image: wait for UUID={ABSENT_UUID}: timed out after 3 s; ", console
    )
    assert len(timeouts) == 1, console
    assert "Starting pre-initoverlayfs-switch-root" not in console


def test_mini_initramfs_contains_storage_init(systemd_guest: Guest) -> None:
    """The mini-initramfs contains storage-init; the plain initramfs does not."""
    names = {entry.name for entry in cpio.read(systemd_guest.initrd.read_bytes())}
    assert {"usr/bin/storage-init", "etc/initrd-release", "etc/initoverlayfs.conf"} <= names
    assert any(name.endswith("/erofs.ko.xz") for name in names)
    plain = {entry.name for entry in cpio.read(systemd_guest.plain_initrd.read_bytes())}
    assert not any("initoverlayfs" in name or "storage-init" in name for name in plain)
