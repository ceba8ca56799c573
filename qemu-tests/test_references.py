# SPDX-License-Identifier: MIT
"""The boot filesystem is found by each type of reference, on partitioned disks."""

import pytest

from harness import bootdisk
from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Tiny, image

# The first test of a run also builds the guest.
pytestmark = pytest.mark.timeout(900)

UUID = "1f0e0000-0000-4000-8000-0000000071aa"
OTHER_IMAGE = "1f0e0000-0000-4000-8000-00000000071e"
GPT = f'label: gpt\n3: start=2MiB, uuid={UUID}, name="Boot files"\n'
MBR = "label: dos\nlabel-id: 0x1f0e71bb\n1: start=2MiB\n"
# The boot filesystem is in the last of two logical partitions.
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
def test_gpt_with_sectors_of_4096_bytes(tiny: Tiny, reference: str) -> None:
    """References are found in the GPT of a disk with logical blocks of 4096 bytes."""
    disk = bootdisk.partitioned_4096(tiny.directory / "disk", tiny.disk(), UUID, "Boot files")
    mini = tiny.mini.configured(f'bootfs "{reference}"\n')
    outcome = tiny.boot(mini, [Drive(disk, sector=4096)])
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["device"] == tiny.device(0) + "3"


@pytest.mark.parametrize("reference", ["PARTUUID=" + UUID, "PARTLABEL=Boot files"])
def test_damaged_gpt_falls_back_to_its_backup(tiny: Tiny, reference: str) -> None:
    """If the primary GPT is damaged, storage-init uses the backup, as Linux does with `gpt`."""
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
def test_duplicate_uuid_boots_the_first_disk(tiny: Tiny) -> None:
    """If two disks have the UUID, a warning names both, and the first disk boots."""
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk()), Drive(tiny.disk())])
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    reference = "UUID=" + bootdisk.UUIDS["ext4"]
    first, second = tiny.device(0), tiny.device(1)
    warning = f"{reference} matches both {first} and {second}: using {first}"
    assert warning in outcome.lines, outcome.console


def test_wrong_hint_is_ignored(tiny: Tiny) -> None:
    """If the hint names a disk with another UUID, the disk with the right UUID boots."""
    other = tiny.disk(uuid="1f0e0000-0000-4000-8000-00000000dead")
    mini = tiny.configured(more=f"bootfs_hint {tiny.device(0)}\n")
    outcome = tiny.boot(mini, [Drive(other), Drive(tiny.disk())])
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["device"] == tiny.device(1)


def test_every_match_is_tried_before_another_image(tiny: Tiny) -> None:
    """If two filesystems match and only the second has the bound image, that one boots."""
    other = image(tiny.directory / "other.img", tiny.greeting, OTHER_IMAGE)
    first = tiny.disk(files={tiny.name: other, tiny.name + ".previous": other})
    drives = [Drive(first), Drive(tiny.disk())]
    outcome = tiny.boot(tiny.identified(tiny.image), drives)
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert (outcome.boot["attempt"], outcome.boot["device"]) == ("image", tiny.device(1))


def test_another_image_boots_after_every_match_was_tried(tiny: Tiny) -> None:
    """If no filesystem that matches has the bound image, the previous image boots."""
    other = image(tiny.directory / "other.img", tiny.greeting, OTHER_IMAGE)
    disks = [tiny.disk(files={tiny.name + ".previous": other}) for _ in range(3)]
    outcome = tiny.boot(tiny.identified(tiny.image), [Drive(disk) for disk in disks])
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["attempt"] == "previous"
    failures = [line for line in outcome.lines if line.startswith("image: ")]
    assert len(failures) == 3, outcome.lines
