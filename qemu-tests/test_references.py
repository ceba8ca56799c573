# SPDX-License-Identifier: MIT
"""The boot filesystem named in every way there is, on partitioned disks."""

import pytest
from harness import bootdisk
from harness.tiny import Tiny
from harness.vm import Drive, Ending

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
    ("table", "reference", "device"),
    [
        (GPT, "PARTUUID=" + UUID.upper(), "/dev/vda3"),
        (GPT, "PARTLABEL=Boot files", "/dev/vda3"),
        (GPT, "UUID=" + bootdisk.UUIDS["ext4"], "/dev/vda3"),
        (GPT, "/dev/vda3", "/dev/vda3"),
        (MBR, "PARTUUID=1F0E71BB-01", "/dev/vda1"),
        (LOGICAL, "PARTUUID=1f0e71bb-06", "/dev/vda6"),
    ],
    ids=["partuuid", "partlabel", "uuid", "path", "mbr", "logical"],
)
def test_reference(tiny: Tiny, table: str, reference: str, device: str) -> None:
    disk = bootdisk.partitioned(tiny.directory / "disk", tiny.disk(), table)
    outcome = tiny.boot(tiny.mini.configured(f'bootfs "{reference}"\n'), [Drive(disk)])
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["device"] == device


def test_a_wrong_hint(tiny: Tiny) -> None:
    """The disk that the hint names is another one; the boot does not wait for it or fail."""
    other = tiny.disk(uuid="1f0e0000-0000-4000-8000-00000000dead")
    mini = tiny.configured(more="bootfs_hint /dev/vda\n")
    outcome = tiny.boot(mini, [Drive(other), Drive(tiny.disk())])
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["device"] == "/dev/vdb"
