# SPDX-License-Identifier: MIT
"""With initoverlayfs-install --hostonly on a booted machine, dracut includes only drivers in use.

Under emulation, a build of both images takes minutes, so the test runs only with -m slow.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness import boot, cpio, disk
from harness.guest import Guest
from harness.machine import Drive
from harness.privilege import run
from harness.vm import VM, Ending

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

# systemd.run= replaces the default target, and powers the machine off after the command.
INSTALL = (
    " systemd.run=\"/bin/sh -c 'initoverlayfs-install -f --hostonly >/dev/ttyS1 2>&1"
    " && echo installed >/dev/ttyS1'\""
)


def test_hostonly_pair_is_small_and_boots(guest: Guest, tmp_path: Path) -> None:
    """A pair built on a machine with a virtio disk and ext4 is small, and boots that machine."""
    path = tmp_path / "disk"
    shutil.copy(guest.disk, path)
    drives = (Drive(path, snapshot=False),)
    # dracut would include the driver of an AHCI controller without disks.
    machine = replace(boot.options(guest), machine="q35,sata=off", drives=drives)
    with VM(replace(machine, cmdline=machine.cmdline + INSTALL, timeout=1500)) as vm:
        assert vm.wait_end() is Ending.POWEROFF
        print(vm.report)
        assert vm.report.rstrip().endswith("installed"), vm.report + vm.tail()
    mini = tmp_path / "mini"
    source = f"{path}?offset={disk.MIB}"
    run(["debugfs", "-R", f"dump /initrd.img-{guest.kver} {mini}", source])
    entries = cpio.read(mini.read_bytes())
    files = sorted(((len(entry.data), entry.name) for entry in entries), reverse=True)
    print("\n".join(f"{size:8} {name}" for size, name in files[:30]))
    modules = {Path(entry.name).stem for entry in entries if entry.name.endswith(".ko")}
    assert {"virtio_blk", "ext4", "erofs", "overlay"} <= modules
    assert not modules & {"xfs", "btrfs", "nvme", "ahci", "squashfs", "usb-storage"}
    assert mini.stat().st_size <= 1_300_000
    booted = boot.boot(replace(machine, initrd=mini))
    assert booted.faults == [] and booted.report["failed_units"] == [], booted.tail
