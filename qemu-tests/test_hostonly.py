# SPDX-License-Identifier: MIT
"""--hostonly, in a booted machine: dracut looks at the hardware that it finds itself on.

It takes minutes to run dracut twice under emulation, so this runs when it is asked for: -m slow.
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

# In place of the default target, and the machine is powered off after it.
INSTALL = (
    " systemd.run=\"/bin/sh -c 'initoverlayfs-install -f --hostonly >/dev/ttyS1 2>&1"
    " && echo installed >/dev/ttyS1'\""
)


def test_hostonly(guest: Guest, tmp_path: Path) -> None:
    """Built on a machine with a virtio disk and ext4, the images are small and boot it cleanly."""
    path = tmp_path / "disk"
    shutil.copy(guest.disk, path)
    drives = (Drive(path, snapshot=False),)
    # dracut takes an AHCI controller along, though no disk is on it
    machine = replace(boot.options(guest), machine="q35,sata=off", drives=drives)
    with VM(replace(machine, cmdline=machine.cmdline + INSTALL, timeout=1500)) as vm:
        assert vm.wait_end() is Ending.POWEROFF
        print(vm.report)
        assert vm.report.rstrip().endswith("installed"), vm.report + vm.tail()
    mini = tmp_path / "mini"
    source = f"{path}?offset={disk.MIB}"
    run(["debugfs", "-R", f"dump /initrd.img-{guest.kver} {mini}", source])
    entries = cpio.read(mini.read_bytes())
    files = sorted(((len(one.data), one.name) for one in entries), reverse=True)
    print("\n".join(f"{size:8} {name}" for size, name in files[:30]))
    modules = {Path(one.name).stem for one in entries if one.name.endswith(".ko")}
    assert {"virtio_blk", "ext4", "erofs", "overlay"} <= modules
    assert not modules & {"xfs", "btrfs", "nvme", "ahci", "squashfs", "usb-storage"}
    assert mini.stat().st_size <= 1_300_000
    booted = boot.boot(replace(machine, initrd=mini))
    assert booted.faults == [] and booted.report["failed_units"] == [], booted.tail
