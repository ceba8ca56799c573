# SPDX-License-Identifier: MIT
"""initoverlayfs-install -f on booted machines: it refuses, or the pair boots the machine.

Under emulation, a build takes minutes, so the tests that build a pair run only with -m slow.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness import accel, boot, machines, uml
from harness.inside.layouts import ROOT_UUID
from harness.machine import Drive, Options
from harness.privilege import run
from harness.vm import VM, Ending

pytestmark = [
    pytest.mark.timeout(2400),
    pytest.mark.skipif(uml.missing() is not None, reason=uml.missing() or ""),
]

# systemd.run= replaces the default target, and powers the machine off after the script. The script
# writes the mini-initramfs to the second disk.
_SCRIPT = """exec >/dev/ttyS1 2>&1
initoverlayfs-install -f --no-hostonly
echo status $?
sha256sum /boot/init* /etc/initoverlayfs.conf 2>/dev/null
tar -cf /dev/disk/by-id/virtio-d1 -C /boot initrd.img-$(uname -r)
"""
_INSTALL = f" systemd.run=\"/bin/sh -c '{_SCRIPT.strip()}'\"".replace("\n", "; ")


@pytest.fixture(scope="module")
def system(deb: Path) -> machines.System:
    return machines.system(deb)


class Machine:
    """A machine with Debian on a storage layout, its disk on virtio-blk by default."""

    def __init__(self, system: machines.System, layout: str, directory: Path) -> None:
        self.directory = directory
        self.system = system
        self.disk = Drive(machines.disk(system, layout, directory), snapshot=False)
        self.extra: tuple[str, ...] = ()

    def on(self, interface: str, *extra: str) -> "Machine":
        """Attach the disk to another controller. extra: words of QEMU's command line."""
        self.disk = replace(self.disk, interface=interface)
        self.extra = extra
        return self

    def options(self, words: str, initrd: Path) -> Options:
        return Options(
            kernel=self.system.kernel,
            initrd=initrd,
            cmdline=f"console=ttyS0 {words}",
            drives=(self.disk,),
            extra=self.extra,
            accel=accel.best(self.system.kernel),
            timeout=1800,
        )

    def install(self, words: str) -> str:
        """Boot with the plain initramfs and run initoverlayfs-install -f.

        words: kernel command line. Returns its output, its exit status, and the digests of its
        files.
        """
        out = self.directory / "mini.tar"
        with out.open("wb") as file:
            file.truncate(64 << 20)
        machine = self.options(words + _INSTALL, self.system.initrd)
        mini = Drive(out, snapshot=False)  # its serial number is d1
        with VM(replace(machine, drives=(self.disk, mini))) as vm:
            assert vm.wait_end() is Ending.POWEROFF, vm.tail()
            print(vm.report)
            return vm.report

    def boots(self, words: str) -> boot.Booted:
        """Boot with the installed mini-initramfs to multi-user.target. Raises MachineFailure."""
        run(["tar", "-C", str(self.directory), "-xf", str(self.directory / "mini.tar")])
        mini = self.directory / f"initrd.img-{self.system.kver}"
        return boot.boot(self.options(words, mini))


def assert_refused(report: str, reason: str) -> None:
    """Assert that the first line gives the reason, and that no image or configuration exists."""
    lines = report.strip().splitlines()
    assert lines[0].startswith("initoverlayfs-install: ") and reason in lines[0], report
    assert lines[1] == "status 1", report
    assert re.fullmatch(r"[0-9a-f]{64}  /boot/initrd\.img-[^ ]*", "\n".join(lines[2:])), report


@pytest.mark.first
def test_boot_on_raid_1(system: machines.System, tmp_path: Path) -> None:
    machine = Machine(system, "raid1", tmp_path).on("virtio-blk-pci")
    report = machine.install(f"root=UUID={ROOT_UUID} ro rd.auto=1")
    assert_refused(report, "/boot is on /dev/md")
    assert "which storage-init cannot reach: md RAID 1 (md" in report


@pytest.mark.slow
def test_boot_on_lvm(system: machines.System, tmp_path: Path) -> None:
    machine = Machine(system, "lvm", tmp_path)
    report = machine.install("root=/dev/mapper/vg-root ro")
    assert_refused(report, "/boot is on /dev/mapper/vg-root, which storage-init cannot reach: LVM")


@pytest.mark.slow
def test_controller_outside_the_list(system: machines.System, tmp_path: Path) -> None:
    """Without --hostonly, the mini-initramfs still contains the driver of the disk's controller."""
    machine = Machine(system, "single", tmp_path).on("scsi-hd", "-device", "lsi53c895a")
    words = f"root=UUID={ROOT_UUID} ro"
    assert "status 0" in machine.install(words)
    booted = machine.boots(words)
    assert booted.report["boot"]["attempt"] == "image", booted.tail
    assert "multi-user" not in str(booted.faults), booted.faults


@pytest.mark.slow
def test_root_and_boot_on_one_xfs(system: machines.System, tmp_path: Path) -> None:
    """The pair boots with `rw` on the kernel command line and with `ro`."""
    machine = Machine(system, "xfs", tmp_path)
    words = f"root=UUID={ROOT_UUID} "
    assert "status 0" in machine.install(words + "rw")
    assert machine.boots(words + "ro").report["boot"]["attempt"] == "image"
    assert machine.boots(words + "rw").report["boot"]["attempt"] == "image"
