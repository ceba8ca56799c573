# SPDX-License-Identifier: MIT
"""initoverlayfs-install copies an image to a single extent of a real ext4."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from namespace import backing_file, wait_until

from initoverlayfs.install import publish
from storage_init.formats import ext4

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="requires root, for mounts")

MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Make an ext4 of 300 MiB, mounted on the directory `boot` beside it."""
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(300 * MIB)
    (tmp_path / "boot").mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-b", "4096", str(path)], check=True)
    subprocess.run(["mount", "-o", "loop", str(path), str(tmp_path / "boot")], check=True)
    yield path
    subprocess.run(["umount", "-q", str(tmp_path / "boot")])


def unmount(disk: Path) -> None:
    """Unmount the disk, and wait until its filesystem is clean.

    The filesystem stays mounted while a mount namespace made meanwhile has a copy of the mount.
    """
    subprocess.run(["umount", str(disk.parent / "boot")], check=True)
    loops = [path.name for path in Path("/sys/block").glob("loop*")]
    wait_until(lambda: str(disk) not in [backing_file(name) for name in loops], 60)


def test_the_copy_skips_fragmented_free_space(disk: Path) -> None:
    boot = disk.parent / "boot"
    source = disk.parent / "image"
    source.write_bytes(os.urandom(30 * MIB))
    for number in range(6):
        publish.copy(source, boot / str(number))
    for number in (1, 3):
        (boot / str(number)).unlink()
    larger = disk.parent / "larger"
    larger.write_bytes(os.urandom(40 * MIB))
    publish.copy(larger, boot / "image")
    unmount(disk)
    with disk.open("rb") as file:
        place = ext4.locate(lambda at, size: os.pread(file.fileno(), size, at), "/image")
        assert len(place.pieces) == 1
        assert os.pread(file.fileno(), place.size, place.pieces[0][0]) == larger.read_bytes()
