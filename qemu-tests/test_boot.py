# SPDX-License-Identifier: MIT
"""The whole way: Debian's own kernel, dracut and systemd, up to multi-user."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import budget
from harness import boot
from harness.guest import Guest

# the first case of a run also builds the guest
pytestmark = pytest.mark.timeout(900)


def test_debian_reaches_multi_user(guest: Guest, storage_init: Path) -> None:
    """Debian boots through the overlay to multi-user, and nothing of stages 1 and 2 is left."""
    booted = boot.boot(boot.options(guest))
    assert booted.faults == [], booted.tail
    facts = boot.summary(guest, storage_init, booted)
    assert facts["clean"] is True
    assert booted.report["failed_units"] == []
    assert (facts["mode"], facts["attempt"]) == ("init", "image")
    assert any("initoverlayfs: exec /init" in line for line in booted.report["journal"])


def test_plain_initramfs(guest: Guest) -> None:
    """With the package installed, dracut's own initramfs boots Debian, and nothing of ours runs."""
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
    """Interpreter and mini-initramfs keep within their limits, plain dracut's is far larger."""
    assert budget.verdict("storage-init", storage_init.stat().st_size) == ""
    assert budget.verdict("mini-initramfs", guest.initramfs_bytes) == ""
    assert guest.plain_initramfs_bytes > 5 * guest.initramfs_bytes
