# SPDX-License-Identifier: MIT
"""Boots with scsi_mod.scan=manual, where storage-init scans the one address it is told to."""

import pytest

from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Outcome, Tiny

# the first case of a run also builds the guest
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
    """The disks that storage-init saw."""
    return {line for line in outcome.lines if line.startswith("seen ")}


@pytest.mark.parametrize("smp", [1, 2])
def test_one_address_of_two_is_scanned(tiny: Tiny, smp: int) -> None:
    """The disk at target 1 is scanned and booted from; the kernel never finds that at target 2."""
    outcome = boot(tiny, "scsi.addr=0:0:1:0", smp)
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert "scan SCSI address 0:0:1:0 (driver virtio_scsi)" in outcome.lines
    assert seen(outcome) == {"seen /dev/sda (ext4)"}
    assert "scsi 0:0:1:0: Direct-Access" in outcome.console
    assert "scsi 0:0:2:0" not in outcome.console


def test_it_is_the_address_that_decides(tiny: Tiny) -> None:
    """The disk at target 2, which lacks the image, is the only one there is."""
    outcome = boot(tiny, "scsi.addr=0:0:2:0")
    assert outcome.ending is Ending.RESET and not outcome.greeted
    assert seen(outcome) == {"seen /dev/sda (ext4)"}
    assert "scsi 0:0:1:0" not in outcome.console


def test_no_address(tiny: Tiny) -> None:
    """Nothing is scanned, so nothing appears: the kernel does heed scsi_mod.scan=manual."""
    outcome = boot(tiny, "")
    assert outcome.ending is Ending.RESET and not outcome.greeted
    assert "virtio_scsi" in outcome.console and seen(outcome) == set()
    assert [line for line in outcome.lines if "timed out after 5 s; seen: no block device" in line]


def test_a_host_that_is_not_there(tiny: Tiny) -> None:
    """The line that says so names the hosts that are there."""
    outcome = boot(tiny, "scsi.addr=99:0:1:0")
    assert outcome.ending is Ending.RESET and not outcome.greeted
    text = (
        "scsi.addr 99:0:1:0: host99 does not exist; SCSI hosts: host0 (virtio_scsi), host1 (ahci)"
    )
    assert [line for line in outcome.lines if text in line], outcome.console
