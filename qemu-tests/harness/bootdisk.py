# SPDX-License-Identifier: MIT
"""Boot filesystems of any type in an image file, with files in them; nothing here needs root."""

import shutil
from pathlib import Path

from harness.privilege import run

MIB = 1 << 20

# Just above the smallest each mkfs makes; the files are sparse.
_SIZES = {"ext4": 32, "vfat": 40, "xfs": 320, "btrfs": 160}

UUIDS = {
    "ext4": "1f0e0000-0000-4000-8000-0000000071e4",
    "vfat": "71E0-00FA",
    "xfs": "1f0e0000-0000-4000-8000-00000000071f",
    "btrfs": "1f0e0000-0000-4000-8000-0000000071eb",
}


def make(path: Path, kind: str, files: dict[str, Path], uuid: str = "") -> Path:
    """Make the filesystem, without a partition table, with these files in its root directory.

    kind: ext4, vfat, xfs or btrfs; its UUID is that of UUIDS if not given. Raises CommandFailed.
    """
    uuid = uuid or UUIDS[kind]
    with path.open("wb") as file:
        file.truncate(_SIZES[kind] * MIB)
    if kind == "ext4":
        run(["mkfs.ext4", "-q", "-F", "-U", uuid, "-d", str(_directory(path, files)), str(path)])
    elif kind == "vfat":
        run(["mkfs.vfat", "-i", uuid.replace("-", ""), str(path)])
        for name, source in files.items():
            run(["mcopy", "-i", str(path), str(source), "::" + name])
    elif kind == "xfs":
        run(["mkfs.xfs", "-q", "-m", "uuid=" + uuid, "-p", str(_prototype(path, files)), str(path)])
    elif kind == "btrfs":
        directory = str(_directory(path, files))
        run(["mkfs.btrfs", "-q", "-U", uuid, "--rootdir", directory, str(path)])
    else:
        raise ValueError(f"boot disk: no way to make {kind}")
    return path


def partitioned(path: Path, filesystem: Path, table: str) -> Path:
    """A disk that has the filesystem in a partition of its own, which starts at 2 MiB.

    table: for sfdisk, with a partition there and room for the filesystem. Raises CommandFailed.
    """
    with path.open("wb") as file:
        file.truncate(filesystem.stat().st_size + 4 * MIB)
    script = path.with_name(path.name + ".sfdisk")
    script.write_text(table)
    run(["sh", "-ec", 'sfdisk -q "$1" <"$2"', "sh", str(path), str(script)])
    run(["dd", f"if={filesystem}", f"of={path}", "bs=1M", "seek=2", "conv=notrunc,sparse"])
    return path


def _directory(path: Path, files: dict[str, Path]) -> Path:
    directory = path.parent / (path.name + ".d")
    directory.mkdir()
    for name, source in files.items():
        shutil.copy(source, directory / name)
    return directory


def _prototype(path: Path, files: dict[str, Path]) -> Path:
    """mkfs.xfs's description of the root directory: see its option -p."""
    lines = ["/unused", "0 0", "d--755 0 0"]
    lines += [f"{name} ---644 0 0 {source}" for name, source in files.items()]
    prototype = path.parent / (path.name + ".proto")
    prototype.write_text("\n".join([*lines, "$", ""]))
    return prototype
