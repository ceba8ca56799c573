# SPDX-License-Identifier: MIT
"""The storage stack, read from directories that are laid out like real sysfs trees."""

import json
from pathlib import Path

import pytest
from host_support import AnsweringTarget

from initoverlayfs.machine import storage
from initoverlayfs.machine.storage import Layer


class Sysfs:
    """A directory laid out like /sys."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def device(self, path: str, module: str = "") -> Path:
        """Create a device and return its directory. module: of the driver bound to it, if any."""
        directory = self.root / "devices" / path
        directory.mkdir(parents=True, exist_ok=True)
        if module:
            (self.root / "module" / module).mkdir(parents=True, exist_ok=True)
            driver = self.root / "drivers" / f"of-{module}"
            driver.mkdir(parents=True, exist_ok=True)
            if not (driver / "module").exists():
                (driver / "module").symlink_to(self.root / "module" / module)
            (directory / "driver").symlink_to(driver)
        return directory

    def layer(self, path: str, kind: str = "disk") -> Layer:
        return Layer(path.rpartition("/")[2], kind, self.device(path))


@pytest.fixture
def sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sysfs:
    monkeypatch.setattr(storage, "SYSFS", tmp_path.resolve())
    return Sysfs(tmp_path)


def test_layers_are_listed_from_the_top(sysfs: Sysfs) -> None:
    directory = sysfs.device("pci0000:00/x/block/vda")
    (sysfs.root / "dev/block").mkdir(parents=True)
    (sysfs.root / "dev/block/254:0").symlink_to(directory)
    disk = {"name": "vda", "type": "disk", "maj:min": "254:0"}
    part = {"name": "vda1", "type": "part", "maj:min": "254:1", "children": [disk]}
    lvm = {"name": "vg-root", "type": "lvm", "maj:min": "253:0 ", "children": [part]}
    target = AnsweringTarget(Path("/"), lsblk=json.dumps({"blockdevices": [lvm]}))
    found = storage.layers(target, "/dev/mapper/vg-root")
    assert [(one.name, one.kind) for one in found] == [
        ("vg-root", "lvm"),
        ("vda1", "part"),
        ("vda", "disk"),
    ]
    assert found[2].directory == directory


def test_partition_of_a_local_disk(sysfs: Sysfs) -> None:
    sysfs.device("pci0000:00", "")
    sysfs.device("pci0000:00/0000:00:1f.2", "ahci")
    sysfs.device("pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0", "sd_mod")
    path = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda"
    stack = [sysfs.layer(path + "/sda1", "part"), sysfs.layer(path)]
    assert storage.obstacle(stack) is None
    assert storage.drivers(stack) == ["ahci", "sd_mod"]


def test_controller_behind_another_one(sysfs: Sysfs) -> None:
    """Intel VMD: the NVMe controller is on a PCI bus that the driver of another device creates."""
    sysfs.device("pci0000:00/0000:00:0e.0", "vmd")
    path = "pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0"
    sysfs.device(path, "nvme")
    assert storage.drivers([sysfs.layer(path + "/nvme/nvme0/nvme0n1")]) == ["nvme", "vmd"]


def test_nvme_with_several_paths(sysfs: Sysfs) -> None:
    """The block device is virtual; its subsystem has links to the controllers."""
    controller = sysfs.device("pci0000:00/0000:00:04.0/nvme/nvme0")
    sysfs.device("pci0000:00/0000:00:04.0", "nvme")
    subsystem = "virtual/nvme-subsystem/nvme-subsys0"
    (sysfs.device(subsystem) / "nvme0").symlink_to(controller)
    stack = [sysfs.layer(subsystem + "/nvme0n1")]
    assert (storage.obstacle(stack), storage.drivers(stack)) == (None, ["nvme"])


def test_nvme_over_fabrics_is_refused(sysfs: Sysfs) -> None:
    controller = sysfs.device("virtual/nvme-fabrics/ctl/nvme0")
    subsystem = "virtual/nvme-subsystem/nvme-subsys0"
    (sysfs.device(subsystem) / "nvme0").symlink_to(controller)
    stack = [sysfs.layer(subsystem + "/nvme0n1")]
    assert storage.obstacle(stack) == "a device without hardware (nvme0n1)"


def test_suppliers_are_included(sysfs: Sysfs) -> None:
    """A host controller requires a PHY on another bus, and that a clock."""
    host = sysfs.device("platform/soc/mmc", "sdhci_of")
    phy = sysfs.device("platform/soc/phy", "phy_x")
    clock = sysfs.device("platform/clock", "clk_x")
    for consumer, supplier in ((host, phy), (phy, clock), (clock, host)):
        link = sysfs.device(f"virtual/devlink/{supplier.name}--{consumer.name}")
        (link / "supplier").symlink_to(supplier)
        (consumer / f"supplier:platform:{supplier.name}").symlink_to(link)
    stack = [sysfs.layer("platform/soc/mmc/mmc_host/mmc0/mmc0:0001/block/mmcblk0")]
    assert storage.drivers(stack) == ["clk_x", "phy_x", "sdhci_of"]


@pytest.mark.parametrize(
    ("kind", "path", "reason"),
    [
        ("disk", "virtual/block/zram0", "a device without hardware (zram0)"),
        (
            "disk",
            "platform/host2/session1/target2:0:0/2:0:0:0/block/sda",
            "a disk behind a network",
        ),
        ("disk", "pci0/0000:00:05.0/net/eth0/ctlr_0/host1/x/block/sdb", "a disk behind a network"),
        ("mpath", "virtual/block/dm-0", "multipath (dm-0)"),
        ("raid10", "virtual/block/md0", "md RAID 10 (md0)"),
        ("crypt", "virtual/block/dm-1", "dm-crypt (LUKS) (dm-1)"),
        ("some", "virtual/block/dm-2", "some (dm-2)"),
    ],
)
def test_unreachable_device_is_refused(sysfs: Sysfs, kind: str, path: str, reason: str) -> None:
    assert (storage.obstacle([sysfs.layer(path, kind)]) or "").startswith(reason)


def test_bcache_is_refused(sysfs: Sysfs) -> None:
    stack = [sysfs.layer("virtual/block/bcache0"), sysfs.layer("pci0/block/sda")]
    assert storage.obstacle(stack) == "a device made of others (bcache0)"


def test_btrfs_on_several_devices_is_refused(sysfs: Sysfs) -> None:
    members = sysfs.root / "fs/btrfs/1f0e/devices"
    members.mkdir(parents=True)
    stack = [sysfs.layer("pci0/block/sda/sda1", "part"), sysfs.layer("pci0/block/sda")]
    (members / "sda1").touch()
    assert storage.obstacle(stack) is None
    (members / "sdb1").touch()
    assert storage.obstacle(stack) == "btrfs on several devices (sda1, sdb1)"


def test_loop_device_of_an_image_builder_counts_as_a_disk(sysfs: Sysfs) -> None:
    """Layers on top of it are those of the machine that is built for."""
    part = sysfs.layer("virtual/block/loop0/loop0p1", "part")
    stack = [part, sysfs.layer("virtual/block/loop0", "loop"), sysfs.layer("pci0/block/sda")]
    disk = storage.without_backing(stack)
    assert (storage.obstacle(disk), storage.drivers(disk)) == (None, [])
    lvm = [sysfs.layer("virtual/block/dm-0", "lvm"), *stack]
    assert storage.obstacle(storage.without_backing(lvm)) == "LVM (dm-0)"


def test_module_loaded_from_a_file_is_loadable(sysfs: Sysfs) -> None:
    (sysfs.root / "module/ahci").mkdir(parents=True)
    assert not storage.is_loadable("ahci")
    (sysfs.root / "module/ahci/initstate").touch()
    assert storage.is_loadable("ahci")
