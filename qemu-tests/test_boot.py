# SPDX-License-Identifier: MIT
"""Boot Debian with its own kernel, dracut and systemd to multi-user.target."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import budget
from harness import boot
from harness.guest import Guest

# The first test of a run also builds the guest.
pytestmark = pytest.mark.timeout(900)


@pytest.mark.first
def test_debian_reaches_multi_user(guest: Guest, storage_init: Path) -> None:
    """Debian boots through the overlay, and no mount or device of stages 1 and 2 remains."""
    booted = boot.boot(boot.options(guest))
    assert booted.faults == [], booted.tail
    facts = boot.summary(guest, storage_init, booted)
    assert facts["clean"] is True
    assert booted.report["failed_units"] == []
    assert (facts["mode"], facts["attempt"]) == ("init", "image")
    assert any("initoverlayfs: exec /init" in line for line in booted.report["journal"])


@pytest.mark.slow
def test_plain_initramfs_boots(guest: Guest) -> None:
    """The plain initramfs boots Debian, and no program of the installed package runs."""
    machine = replace(boot.options(guest), initrd=guest.plain_initrd)
    booted = boot.boot(machine)
    report = booted.report
    assert "No such file or directory: '/run/initoverlayfs/boot.json'" in report["boot"]["error"]
    assert report["journal"] == []
    assert report["leftovers"] == report["failed_units"] == []
    order = ("t_run_init", "t_first_systemd", "t_root_systemd", "t_multi_user")
    times = [report["marks"][name] for name in order]
    assert times == sorted(times) and "t_stage2_exec" not in report["marks"]


def test_sizes(guest: Guest, storage_init: Path) -> None:
    """storage-init and the mini-initramfs meet their budgets; the plain initramfs is larger."""
    assert budget.verdict("storage-init", storage_init.stat().st_size) == ""
    assert budget.verdict("mini-initramfs", guest.initramfs_bytes) == ""
    assert guest.plain_initramfs_bytes > 5 * guest.initramfs_bytes
