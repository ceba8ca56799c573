# SPDX-License-Identifier: MIT
"""Stage 1 writes to no disk, and releases the boot filesystem."""

import hashlib
from pathlib import Path

import pytest

from harness import bootdisk, dirty
from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Outcome, Tiny

pytestmark = pytest.mark.timeout(900)

KINDS = ("ext4", "xfs", "btrfs", "vfat")


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def boot(tiny: Tiny, kind: str, disk: Path, words: str = "", more: str = "") -> Outcome:
    """Boot, and assert that the disk is unchanged and that stage 2 can claim it."""
    before = digest(disk)
    outcome = tiny.boot(tiny.configured(kind, more), [Drive(disk, snapshot=False)], words)
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["attempt"] == "image", outcome.lines
    assert digest(disk) == before
    assert outcome.claimed == []
    assert outcome.mounts == ["/", "/dev", "/proc", "/run", "/sys"]
    return outcome


@pytest.mark.parametrize("kind", KINDS)
def test_clean_boot_filesystem_is_released(tiny: Tiny, kind: str) -> None:
    """The blocks of the image are attached, and nothing else uses the disk."""
    outcome = boot(tiny, kind, tiny.disk(kind), "rd.debug")
    assert outcome.boot["attach"] == "loop"
    assert any("bytes from" in line and "of /dev/ubda" in line for line in outcome.lines)
    assert not [line for line in outcome.lines if "copied into memory" in line]


@pytest.mark.parametrize("kind", KINDS)
def test_dirty_boot_filesystem_is_not_replayed_on_the_disk(tiny: Tiny, kind: str) -> None:
    """If the image is only in the journal, the journal is replayed in memory."""
    disk = bootdisk.make(tiny.directory / "dirty", kind, {})
    dirty.leave(disk, kind, {tiny.name: tiny.image})
    copy = disk.with_name("copy")
    copy.write_bytes(disk.read_bytes())
    outcome = boot(tiny, kind, disk)
    replayed = [line for line in outcome.lines if "journal replayed in memory" in line]
    assert len(replayed) == (kind != "vfat"), outcome.lines
    # Stage 2 replays it on the disk.
    words = f"GREETING_MOUNT=/dev/ubda:{kind}"
    outcome = tiny.boot(tiny.configured(kind), [Drive(copy)], words)
    assert outcome.greeting["mounted"] == ["yes"], outcome.console


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_stage_2_mounts_the_boot_filesystem_read_write(tiny: Tiny, kind: str) -> None:
    """If the boot filesystem is the root filesystem too, stage 2 mounts it read-write."""
    disk = tiny.disk(kind)
    words = f"root=UUID={bootdisk.UUIDS[kind]} rw GREETING_MOUNT=/dev/ubda:{kind}"
    outcome = tiny.boot(tiny.configured(kind), [Drive(disk)], words)
    assert outcome.greeted and outcome.boot["attempt"] == "image", outcome.console
    assert outcome.greeting["mounted"] == ["yes"]


def test_compressed_image_on_btrfs_is_copied_into_memory(tiny: Tiny) -> None:
    disk = bootdisk.make(tiny.directory / "compressed", "btrfs", {})
    dirty.leave(disk, "btrfs", {tiny.name: tiny.image}, "compress-force=zlib")
    outcome = boot(tiny, "btrfs", disk)
    assert any("is copied into memory" in line for line in outcome.lines)


def test_image_that_does_not_fit_into_memory_is_refused(tiny: Tiny) -> None:
    """If the extents cannot be used and the image exceeds half of the memory, the attempt fails."""
    large = tiny.directory / "large"
    with tiny.image.open("rb") as source, large.open("wb") as file:
        file.write(source.read())
        file.truncate(200 << 20)
    disk = bootdisk.make(tiny.directory / "sparse", "ext4", {tiny.name: large})
    mini = tiny.configured(more="emergency poweroff\n")
    outcome = tiny.boot(mini, [Drive(disk)], memory=256)
    assert not outcome.greeted
    (line,) = [line for line in outcome.lines if line.startswith("image: ")]
    assert "half of the memory" in line, line


@pytest.mark.parametrize("kind", KINDS)
def test_always_keeps_the_boot_filesystem_mounted(tiny: Tiny, kind: str) -> None:
    """With bootfs_mount always, the image is used in its file, and the disk is unchanged."""
    disk = tiny.disk(kind)
    before = digest(disk)
    mini = tiny.configured(kind, "bootfs_mount always\n")
    outcome = tiny.boot(mini, [Drive(disk, snapshot=False)])
    assert outcome.greeted and outcome.boot["attempt"] == "image", outcome.console
    assert digest(disk) == before
    assert outcome.boot["attach"] == "loop"
    assert not [line for line in outcome.lines if " bytes from " in line]


def test_dirty_btrfs_boots_directly_after_its_image_failed(tiny: Tiny) -> None:
    """After a replay in memory, btrfs does not refuse the disk as an older copy."""
    empty = tiny.directory / "empty"
    empty.touch()
    names = ("dev", "proc", "run", "sys")
    disk = tiny.disk("btrfs", files={f"{name}/empty": empty for name in names})
    dirty.leave(disk, "btrfs", {"greeting": tiny.greeting})
    words = f"root=UUID={bootdisk.UUIDS['btrfs']} rw init=/greeting"
    outcome = tiny.boot(tiny.configured("btrfs"), [Drive(disk)], words)
    assert outcome.greeted and outcome.boot["attempt"] == "direct", outcome.console
    assert any("journal replayed in memory" in line for line in outcome.lines)
