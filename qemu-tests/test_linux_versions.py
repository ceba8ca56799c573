# SPDX-License-Identifier: MIT
"""The image boots with the kernels of Debian 12, Debian 13 and its backports."""

import re
from pathlib import Path

import pytest

from harness import boot, bootdisk, platforms
from harness.guest import KERNELS
from harness.guest import guest as build_guest
from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Tiny

# Each test builds a guest of its own.
pytestmark = pytest.mark.timeout(900)

# Kernel -> how it attaches an image on a mounted filesystem, and how the root is switched. The
# filesystem itself is on loop0.
WAYS = {
    "6.1": ("loop /dev/loop1 erofs", "MS_MOVE"),
    "6.12": ("file-backed erofs", "MS_MOVE"),
    "7": ("file-backed erofs", "pivot_root"),
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_image_boots_with_each_kernel(deb: Path, tmp_path: Path, kernel: str) -> None:
    """The log names the methods that this kernel allows, and stage 2 sees no mounts of stage 1."""
    built = build_guest(deb, kernel=kernel)
    tiny = Tiny(platforms.qemu(built), tmp_path)
    attached, switched = WAYS[kernel]
    disk = tiny.disk()
    pieces = bootdisk.fragmented(tmp_path / "pieces", {tiny.name: tiny.image})
    always = "rd.initoverlayfs.bootfs_mount=always"
    for drive, words, way in (
        (disk, always, attached + "$"),
        (disk, "", r"loop /dev/loop0 erofs, \d+ bytes from \d+ on of /dev/vda$"),
        (pieces, "", r"loop as /dev/dm-0 erofs, \d+ bytes in \d+ pieces of /dev/vda$"),
    ):
        outcome = tiny.boot(tiny.configured(), [Drive(drive)], words)
        assert outcome.greeted and outcome.ending is Ending.POWEROFF, outcome.console
        line = re.compile(re.escape(f"image /{tiny.name} attached: ") + way)
        assert any(line.match(text) for text in outcome.lines), outcome.lines
        assert f"root switched: {switched}" in outcome.lines
        assert outcome.mounts == ["/", "/dev", "/proc", "/run", "/sys"]


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel != "6.12"])
def test_debian_reaches_multi_user(deb: Path, kernel: str) -> None:
    """Debian reaches multi-user.target with this kernel, and no leftovers remain."""
    booted = boot.boot(boot.options(build_guest(deb, kernel=kernel)))
    assert booted.faults == [], booted.tail
    assert booted.report["failed_units"] == []
