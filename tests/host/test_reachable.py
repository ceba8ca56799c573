# SPDX-License-Identifier: MIT
"""Machines that initoverlayfs-install refuses. qemu-tests/test_layouts.py makes real ones."""

from dataclasses import replace
from pathlib import Path

import pytest

from initoverlayfs.errors import Failure
from initoverlayfs.machine import reachable, storage
from initoverlayfs.machine.bootfs import BootFilesystem
from initoverlayfs.machine.storage import Layer
from initoverlayfs.target import Target

ROOT = Path("/sys/devices/pci0000:00/block/sda")
ON_ROOT = BootFilesystem("UUID=aa", "xfs", "", "/", "", "/dev/null", with_root=True)


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A machine with one disk, driven by sym53c8xx, which is a module of its kernel."""
    stack = [Layer("sda", "disk", ROOT)]
    monkeypatch.setattr(storage, "layers", lambda target, device: stack)
    monkeypatch.setattr(storage, "drivers", lambda stack: ["pcieportdrv", "sd_mod", "sym53c8xx"])
    monkeypatch.setattr(storage, "is_loadable", lambda name: name == "sym53c8xx")
    (tmp_path / "cmdline").write_text("root=UUID=aa ro quiet\n")
    modules = tmp_path / "usr/lib/modules/6.1"
    modules.mkdir(parents=True)
    (modules / "modules.dep").write_text("kernel/drivers/scsi/sym53c8xx_2/sym53c8xx.ko.xz:\n")
    (modules / "modules.builtin").write_text("kernel/drivers/scsi/sd_mod.ko\n")
    return Target(tmp_path)


def test_drivers_that_are_modules_are_returned(target: Target) -> None:
    assert reachable.require(target, "6.1", ON_ROOT) == ["sym53c8xx"]


def test_missing_driver_is_refused(target: Target) -> None:
    (target.root / "usr/lib/modules/6.1/modules.dep").write_text("")
    with pytest.raises(Failure, match="Linux 6.1 has no driver sym53c8xx, .* Nothing was changed"):
        reachable.require(target, "6.1", ON_ROOT)


def test_unmounted_boot_filesystem_is_accepted(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(storage, "layers")
    assert reachable.require(target, "6.1", replace(ON_ROOT, device="")) == []
