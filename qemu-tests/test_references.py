# SPDX-License-Identifier: MIT
"""The boot filesystem named in every way there is, on partitioned disks."""

import pytest

from harness import bootdisk
from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Tiny

# the first case of a run also builds the guest
pytestmark = pytest.mark.timeout(900)

UUID = "1f0e0000-0000-4000-8000-0000000071aa"
GPT = f'label: gpt\n3: start=2MiB, uuid={UUID}, name="Boot files"\n'
MBR = "label: dos\nlabel-id: 0x1f0e71bb\n1: start=2MiB\n"
# The last of two logical partitions.
LOGICAL = """label: dos
label-id: 0x1f0e71bb
2: start=64, type=5
5: start=128, size=8
6: start=2MiB
"""


@pytest.mark.parametrize(
    ("table", "reference", "number"),
    [
        (GPT, "PARTUUID=" + UUID.upper(), 3),
        (GPT, "PARTLABEL=Boot files", 3),
        (GPT, "UUID=" + bootdisk.UUIDS["ext4"], 3),
        (GPT, "DISK3", 3),
        (MBR, "PARTUUID=1F0E71BB-01", 1),
        (LOGICAL, "PARTUUID=1f0e71bb-06", 6),
    ],
    ids=["partuuid", "partlabel", "uuid", "path", "mbr", "logical"],
)
def test_reference(tiny: Tiny, table: str, reference: str, number: int) -> None:
    disk = bootdisk.partitioned(tiny.directory / "disk", tiny.disk(), table)
    reference = reference.replace("DISK", tiny.device(0))
    outcome = tiny.boot(tiny.mini.configured(f'bootfs "{reference}"\n'), [Drive(disk)])
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["device"] == f"{tiny.device(0)}{number}"


@pytest.mark.platforms("qemu")
@pytest.mark.parametrize("reference", ["PARTUUID=" + UUID, "UUID=" + bootdisk.UUIDS["ext4"]])
def test_sectors_of_4096_bytes(tiny: Tiny, reference: str) -> None:
    """A disk with logical blocks of 4096 bytes, and a GPT made for them."""
    disk = bootdisk.partitioned_4096(tiny.directory / "disk", tiny.disk(), UUID, "Boot files")
    mini = tiny.mini.configured(f'bootfs "{reference}"\n')
    outcome = tiny.boot(mini, [Drive(disk, sector=4096)])
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["device"] == tiny.device(0) + "3"


@pytest.mark.parametrize("reference", ["PARTUUID=" + UUID, "PARTLABEL=Boot files"])
def test_damaged_gpt(tiny: Tiny, reference: str) -> None:
    """The GPT's first header is damaged, and the word `gpt` has Linux take the backup: so do we."""
    disk = bootdisk.partitioned(tiny.directory / "disk", tiny.disk(), GPT)
    with disk.open("r+b") as file:
        file.seek(512 + 16)  # its checksum
        file.write(b"\0\0\0\0")
    mini = tiny.mini.configured(f'bootfs "{reference}"\n')
    outcome = tiny.boot(mini, [Drive(disk)], "gpt")
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["device"] == tiny.device(0) + "3"
    assert "Primary GPT is invalid, using alternate GPT" in outcome.console


@pytest.mark.platforms("uml", "qemu")
def test_two_disks_of_the_same_name(tiny: Tiny) -> None:
    """Both disks have the UUID: a warning names the two, and it boots from the first."""
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk()), Drive(tiny.disk())])
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    reference = "UUID=" + bootdisk.UUIDS["ext4"]
    first, second = tiny.device(0), tiny.device(1)
    warning = f"{reference} matches both {first} and {second}: using {first}"
    assert warning in outcome.lines, outcome.console


def test_a_wrong_hint(tiny: Tiny) -> None:
    """The disk that the hint names is another one; the boot does not wait for it or fail."""
    other = tiny.disk(uuid="1f0e0000-0000-4000-8000-00000000dead")
    mini = tiny.configured(more=f"bootfs_hint {tiny.device(0)}\n")
    outcome = tiny.boot(mini, [Drive(other), Drive(tiny.disk())])
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["device"] == tiny.device(1)
