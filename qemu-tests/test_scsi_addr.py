# SPDX-License-Identifier: MIT
"""With scsi_mod.scan=manual, storage-init scans only the address that scsi.addr names."""

import pytest

from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Outcome, Tiny

# The first test of a run also builds the guest.
pytestmark = [pytest.mark.timeout(900), pytest.mark.platforms("qemu")]

MANUAL = "rd.debug loglevel=8 scsi_mod.scan=manual rd.initoverlayfs.timeout=5"
CONTROLLER = ("-device", "virtio-scsi-pci")


def boot(tiny: Tiny, words: str, smp: int = 2) -> Outcome:
    """Boot with two disks of the same UUID at targets 1 and 2; the second lacks the image."""
    drives = [
        Drive(tiny.disk(files=files), interface="scsi-hd", properties=f"scsi-id={target}")
        for target, files in ((1, None), (2, {}))
    ]
    return tiny.boot(tiny.configured(), drives, f"{MANUAL} {words}", smp=smp, extra=CONTROLLER)


def seen(outcome: Outcome) -> "set[str]":
    """Return the log lines that name the disks that storage-init has seen."""
    return {line for line in outcome.lines if line.startswith("seen ")}


@pytest.mark.parametrize("smp", [1, 2])
def test_only_the_named_address_is_scanned(tiny: Tiny, smp: int) -> None:
    """The disk at target 1 is found and boots; the kernel never finds the disk at target 2."""
    outcome = boot(tiny, "scsi.addr=0:0:1:0", smp)
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert "scan SCSI address 0:0:1:0 (driver virtio_scsi)" in outcome.lines
    assert seen(outcome) == {"seen /dev/sda (ext4)"}
    assert "scsi 0:0:1:0: Direct-Access" in outcome.console
    assert "scsi 0:0:2:0" not in outcome.console


def test_named_address_selects_the_disk(tiny: Tiny) -> None:
    """If scsi.addr names the disk without the image, only that disk is found and nothing boots."""
    outcome = boot(tiny, "scsi.addr=0:0:2:0")
    assert outcome.ending is Ending.RESET and not outcome.greeted
    assert seen(outcome) == {"seen /dev/sda (ext4)"}
    assert "scsi 0:0:1:0" not in outcome.console


def test_no_address_means_no_scan(tiny: Tiny) -> None:
    """Without scsi.addr no disk appears: the kernel honors scsi_mod.scan=manual."""
    outcome = boot(tiny, "")
    assert outcome.ending is Ending.RESET and not outcome.greeted
    assert "virtio_scsi" in outcome.console and seen(outcome) == set()
    assert [line for line in outcome.lines if "timed out after 5 s; seen: no block device" in line]


def test_missing_host_is_reported(tiny: Tiny) -> None:
    """If scsi.addr names a host that does not exist, one line lists the existing hosts."""
    outcome = boot(tiny, "scsi.addr=99:0:1:0")
    assert outcome.ending is Ending.RESET and not outcome.greeted
    text = (
        "scsi.addr 99:0:1:0: host99 does not exist; SCSI hosts: host0 (virtio_scsi), host1 (ahci)"
    )
    assert [line for line in outcome.lines if text in line], outcome.console
