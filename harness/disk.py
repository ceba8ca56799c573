# SPDX-License-Identifier: MIT
"""Make the guest's disk: a GPT with an ext4 boot and an ext4 root filesystem, fixed UUIDs."""

import subprocess
from pathlib import Path

from harness.privilege import CommandFailed, as_root, run

MIB = 1 << 20
BOOT_MIB = 600
ROOT_MIB = 3072

DISK_UUID = "1f0e0000-0000-4000-8000-000000000000"
BOOT_UUID = "1f0e0000-0000-4000-8000-00000000b007"
ROOT_UUID = "1f0e0000-0000-4000-8000-000000000007"

_TABLE = f"""\
label: gpt
label-id: {DISK_UUID}
unit: sectors
start=2048, size={BOOT_MIB * 2048}, type=linux-extended-boot, name=boot, \
uuid=1f0e0000-0000-4000-8000-000000000001
start={(BOOT_MIB + 1) * 2048}, size={ROOT_MIB * 2048}, type=linux, name=root, \
uuid=1f0e0000-0000-4000-8000-000000000002
"""


def make(path: Path, tree: Path) -> None:
    """Make a sparse disk image of a tree. Empties the tree's /boot. Raises CommandFailed."""
    with path.open("wb") as file:
        file.truncate((BOOT_MIB + ROOT_MIB + 2) * MIB)
    table = subprocess.run(
        ["sfdisk", "--quiet", "--no-reread", str(path)],
        input=_TABLE,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
    )
    if table.returncode:
        raise CommandFailed(f"sfdisk {path}: {table.stdout}")
    boot = path.parent / "boot"
    run(as_root(["mv", str(tree / "boot"), str(boot)]))
    run(as_root(["mkdir", str(tree / "boot")]))
    _ext4(path, 1, BOOT_MIB, BOOT_UUID, boot)
    _ext4(path, BOOT_MIB + 1, ROOT_MIB, ROOT_UUID, tree)
    run(as_root(["rm", "-r", str(boot)]))


def _ext4(path: Path, offset: int, size: int, uuid: str, content: Path) -> None:
    """Make the filesystem of one partition; offset and size in MiB."""
    options = f"offset={offset * MIB},hash_seed={uuid},lazy_itable_init=1,nodiscard"
    line = ["mkfs.ext4", "-q", "-F", "-U", uuid, "-E", options, "-d", str(content)]
    run(as_root([*line, str(path), f"{size}M"]))
