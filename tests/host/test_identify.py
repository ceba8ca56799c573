# SPDX-License-Identifier: MIT
"""storage-init --identify agrees with blkid on filesystems made by the real mkfs tools."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import built
import pytest
from disk_images import ENVIRONMENT, EXT4, IMAGES, UUID, overwritten

# Types in blkid's output that storage-init must not identify as a filesystem.
MEMBERS = {
    "crypto_LUKS",
    "LVM2_member",
    "swap",
    "linux_raid_member",
    "isw_raid_member",
    "lsi_mega_raid_member",
    "via_raid_member",
    "silicon_medley_raid_member",
    "jmicron_raid_member",
    "nvidia_raid_member",
    "adaptec_raid_member",
    "ddf_raid_member",
    "drbd",
}


def blkid(path: Path) -> "dict[str, str]":
    """Return blkid's tags; for members and swap, those that storage-init prints."""
    found = {}
    for tag in ("TYPE", "UUID", "LABEL"):
        result = subprocess.run(
            ["blkid", "-p", "-o", "value", "-s", tag, path],
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
        )
        if result.stdout:
            found[tag] = result.stdout[:-1]
    return found if found.get("TYPE", "swap") not in MEMBERS else {"TYPE": "unknown"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("identify")
    for name, make in IMAGES.items():
        make(directory / name)
    return directory


@pytest.fixture(scope="module", params=["cpython", "micropython"])
def identified(request: pytest.FixtureRequest, images: Path) -> "dict[str, dict[str, str]]":
    """name of an image -> tags from storage-init; one run for all."""
    paths = [str(images / name) for name in IMAGES]
    output = identify(request.param, *paths)
    assert output.returncode == 0 and output.stderr == ""
    found = {}
    for line in output.stdout.splitlines():
        path, _, rest = line.partition(": ")
        found[Path(path).name] = dict(re.findall(r'([A-Z]+)="([^"]*)"', rest))
    return found


def identify(interpreter: str, *paths: str) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-m", "storage_init"]
    if interpreter == "micropython":
        program = [built.program("storage-init")]
    return subprocess.run(
        [*program, "--identify", *paths],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
    )


@pytest.mark.parametrize("name", list(IMAGES))
def test_agrees_with_blkid(
    name: str, images: Path, identified: "dict[str, dict[str, str]]"
) -> None:
    assert identified[name] == blkid(images / name)


def test_known_types_are_identified(identified: "dict[str, dict[str, str]]") -> None:
    """Guard against blkid and storage-init agreeing on empty results."""
    assert identified["fat16"] == {"TYPE": "vfat", "UUID": "1234-ABCD", "LABEL": "EFI BOOT"}
    assert identified["ext4"] == {"TYPE": "ext4", "UUID": UUID, "LABEL": "boot"}
    assert identified["ext4-external-journal"] == identified["ext4"]
    assert identified["fat-late-label"]["LABEL"] == "LATE"
    unknown = {name for name, tags in identified.items() if tags == {"TYPE": "unknown"}}
    kinds = ("swap", "luks", "lvm", "md-", "raid-", "noise", "zeros", "partition-table", "empty")
    assert unknown == {name for name in IMAGES if name.startswith(kinds)}


@pytest.mark.parametrize("interpreter", ["cpython", "micropython"])
def test_hostile_names_do_not_forge_output(interpreter: str, tmp_path: Path) -> None:
    path = tmp_path / 'x\ny: TYPE="'
    EXT4(path)
    label = b'a" UUID="\n\x1b\\'
    overwritten(lambda _: None, (1144, label + bytes(16 - len(label))))(path)
    output = identify(interpreter, str(path), str(tmp_path / "absent\n"), str(tmp_path))
    assert output.returncode == 1
    plain = str(tmp_path) + "/x?y: TYPE=?"
    assert output.stdout == f'{plain}: TYPE="ext4" UUID="{UUID}" LABEL="a? UUID=????"\n'
    assert output.stderr.splitlines() == [
        f"storage-init: stat {tmp_path}/absent?: No such file or directory",
        f"storage-init: identify {tmp_path}: not a file or a block device",
    ]


def test_tools_are_installed() -> None:
    tools = ("blkid", "mkfs.exfat", "mkfs.f2fs", "cryptsetup", "mksquashfs", "mlabel", "debugfs")
    path = ENVIRONMENT["PATH"]
    assert [tool for tool in tools if not shutil.which(tool, path=path)] == []
