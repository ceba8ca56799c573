# SPDX-License-Identifier: MIT
"""Coldplug in stage 2: block devices only, unless they do not suffice to mount the filesystems.

Stage 1 has no driver for the controller of some of these disks.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness import boot, bootdisk, disk
from harness.guest import Guest
from harness.machine import Options
from harness.privilege import run
from harness.vm import VM

# The first test of a run also builds the guest.
pytestmark = pytest.mark.timeout(900)

SKIPPED = "Coldplug All udev Devices skipped, .*root-found"
ALL = "Finished .*Coldplug All udev Devices"
ROOT_SYSTEMD = "Hostname set to <guest>"
OTHER_DRIVER = "sym0: "
EXTRA_UUID = bootdisk.UUIDS["ext4"]


def other(path: Path) -> "tuple[str, ...]":
    """Return QEMU's options for a disk on a controller for which only stage 2 has a driver."""
    drive = f"id=other,if=none,file={path},format=raw,snapshot=on"
    return ("-device", "lsi53c895a,id=lsi", "-drive", drive, "-device", "scsi-hd,drive=other")


def machine(guest: Guest, words: str = "") -> Options:
    """Return a machine whose PID 1 logs to the console."""
    return boot.options(guest, "systemd.log_target=kmsg " + words)


def until(options: Options, pattern: str) -> str:
    """Boot until the pattern is on the console; return the lines that start with "[ "."""
    with VM(options) as vm:
        vm.wait_console(pattern, options.timeout)
        return "\n".join(line for line in vm.console.splitlines() if line.startswith("[ "))


@pytest.fixture(scope="module")
def extra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a disk with a filesystem that is not the root, UUID EXTRA_UUID."""
    directory = tmp_path_factory.mktemp("coldplug")
    (directory / "file").write_text("here")
    return bootdisk.make(directory / "extra", "ext4", {"file": directory / "file"})


@pytest.fixture(scope="module")
def with_fstab(guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Copy the guest's disk, and add `extra` to its fstab as a mount for the initramfs."""
    directory = tmp_path_factory.mktemp("fstab")
    path = directory / "disk"
    run(["cp", "--sparse=always", str(guest.disk), str(path)])
    root = f"{path}?offset={(disk.BOOT_MIB + 1) * disk.MIB}"
    fstab = directory / "fstab"
    run(["debugfs", "-R", f"dump /etc/fstab {fstab}", root])
    with fstab.open("a") as file:
        file.write(f"UUID={EXTRA_UUID} /mnt ext4 ro,x-initrd.mount 0 0\n")
    run(["debugfs", "-w", "-R", "rm /etc/fstab", root])
    run(["debugfs", "-w", "-R", f"write {fstab} /etc/fstab", root])
    yield path
    path.unlink()


@pytest.mark.slow
def test_block_devices_suffice(guest: Guest) -> None:
    """Other devices are not triggered before the switch to the root, and udev's data are kept."""
    multi_user = r"Reached target .*multi-user\.target"
    console = until(machine(guest), multi_user)
    plain = until(replace(machine(guest), initrd=guest.plain_initrd), multi_user)
    assert re.search(SKIPPED, console) and not re.search(SKIPPED, plain)
    assert not re.search(ALL, console.partition(ROOT_SYSTEMD)[0])
    # The root filesystem's systemd does not wait for devices that are in udev's database.
    expecting = "Expecting device .*" + disk.BOOT_UUID.replace("-", ".x2d")
    assert re.search(expecting, plain) and not re.search(expecting, console)


@pytest.mark.slow
def test_coldplug_all_on_the_command_line(guest: Guest) -> None:
    """With rd.initoverlayfs.coldplug=all, all devices are triggered before the root is mounted."""
    console = until(machine(guest, "rd.initoverlayfs.coldplug=all"), ROOT_SYSTEMD)
    assert re.search(ALL, console) and not re.search(SKIPPED, console)


def test_root_behind_another_driver(guest: Guest, tmp_path: Path) -> None:
    """If the root device has not appeared, all devices are triggered, and it appears."""
    image = tmp_path / "image"
    source = f"{guest.disk}?offset={disk.MIB}"
    run(["debugfs", "-R", f"dump /initoverlayfs-{guest.kver}.img {image}", source])
    options = machine(guest, "rd.initoverlayfs.bootfs=/dev/vda rd.initoverlayfs.fs=-")
    drive = replace(options.drives[0], path=image)
    console = until(replace(options, drives=(drive,), extra=other(guest.disk)), ROOT_SYSTEMD)
    stages = console.partition("initoverlayfs: exec /init")
    assert OTHER_DRIVER not in stages[0] and OTHER_DRIVER in stages[2]
    assert re.search(ALL, stages[2])


@pytest.mark.slow
def test_initrd_mount_in_fstab_behind_another_driver(
    guest: Guest, with_fstab: Path, extra: Path
) -> None:
    """If a mount with x-initrd.mount waits for its device, all devices are triggered."""
    options = machine(guest)
    drive = replace(options.drives[0], path=with_fstab)
    console = until(replace(options, drives=(drive,), extra=other(extra)), ROOT_SYSTEMD)
    skipped, after = re.search(SKIPPED, console), re.search(ALL, console)
    assert skipped and after and skipped.start() < after.start()
    assert re.search(r"Mounted sysroot-mnt\.mount", console)


@pytest.mark.slow
def test_mount_extra_on_the_command_line(guest: Guest, extra: Path) -> None:
    """If a mount of rd.systemd.mount-extra waits for its device, all devices are triggered."""
    words = f"rd.systemd.mount-extra=UUID={EXTRA_UUID}:/run/extra:ext4:ro"
    console = until(replace(machine(guest, words), extra=other(extra)), ROOT_SYSTEMD)
    assert re.search(ALL, console) and not re.search(SKIPPED, console)
    assert re.search(r"Mounted run-extra\.mount", console)


def test_emergency_target_triggers_all_devices(guest: Guest) -> None:
    """If the root cannot be mounted, all devices are triggered: one may be the keyboard."""
    options = machine(guest, "rootfstype=xfs SYSTEMD_SULOGIN_FORCE=1")
    console = until(options, r"Reached target .*emergency\.target[\s\S]*" + ALL)
    assert re.search(SKIPPED, console)
