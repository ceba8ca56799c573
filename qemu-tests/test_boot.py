# SPDX-License-Identifier: MIT
"""The whole way: Debian's own kernel, dracut and systemd, up to multi-user."""

from pathlib import Path

import pytest
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


def test_sizes(guest: Guest, storage_init: Path) -> None:
    """Interpreter and mini-initramfs keep within their limits, plain dracut's is far larger."""
    assert storage_init.stat().st_size <= 450_000
    assert guest.initramfs_bytes <= 6_000_000
    assert guest.plain_initramfs_bytes > 5 * guest.initramfs_bytes
