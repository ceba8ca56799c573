# SPDX-License-Identifier: MIT
"""Make boot filesystems and partitioned disks in image files. Requires no privileges."""

import shutil
from pathlib import Path

from harness.privilege import run

MIB = 1 << 20

# MiB; just above the minimum of each mkfs. The image files are sparse.
_SIZES = {"ext4": 32, "vfat": 40, "xfs": 320, "btrfs": 160}

UUIDS = {
    "ext4": "1f0e0000-0000-4000-8000-0000000071e4",
    "vfat": "71E0-00FA",
    "xfs": "1f0e0000-0000-4000-8000-00000000071f",
    "btrfs": "1f0e0000-0000-4000-8000-0000000071eb",
}


def make(path: Path, kind: str, files: dict[str, Path], uuid: str = "") -> Path:
    """Make a filesystem without a partition table, copy files into it, and return its path.

    kind: ext4, vfat, xfs or btrfs. files: name -> source; except on vfat, a name may contain one
    directory. uuid: the one in UUIDS if empty. Raises CommandFailed.
    """
    uuid = uuid or UUIDS[kind]
    with path.open("wb") as file:
        file.truncate(_SIZES[kind] * MIB)
    if kind == "ext4":
        # With blocks of 4096 bytes the filesystem fits disks with any size of sectors.
        line = ["mkfs.ext4", "-q", "-F", "-b", "4096", "-U", uuid]
        run([*line, "-d", str(_directory(path, files)), str(path)])
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
        raise ValueError(f"boot disk: unknown filesystem type {kind}")
    return path


def fill(path: Path) -> None:
    """Fill an ext4 filesystem, so that no block is free. Raises CommandFailed."""
    rest = path.with_name(path.name + ".rest")
    with rest.open("wb") as file:
        file.truncate(path.stat().st_size)
        file.write(b"x" * path.stat().st_size)
    # debugfs writes until the filesystem is full, and then fails.
    run(["sh", "-c", 'debugfs -w -R "write $2 rest" "$1"; true', "sh", str(path), str(rest)])
    rest.unlink()


def fragmented(path: Path, files: dict[str, Path], piece: int = 16 << 10) -> Path:
    """Make an ext4 filesystem, fragment its free space, copy files into it, and return its path.

    piece: size of the free extents in bytes. Raises CommandFailed.
    """
    make(path, "ext4", {})
    filler = path.with_name(path.name + ".filler")
    filler.write_bytes(b"x" * piece)
    count = path.stat().st_size // piece // 2
    commands = [f"write {filler} {number}" for number in range(count)]
    commands += [f"rm {number}" for number in range(0, count, 2)]
    script = path.with_name(path.name + ".debugfs")
    for name, source in files.items():
        commands.append(f"write {source} {name}")
    script.write_text("\n".join(commands) + "\n")
    run(["debugfs", "-w", "-f", str(script), str(path)])
    return path


def partitioned(path: Path, filesystem: Path, table: str) -> Path:
    """Make a disk that holds the filesystem at 2 MiB, and return its path.

    table: sfdisk's input, with a partition that starts there. Raises CommandFailed.
    """
    return _partitioned(path, filesystem, 'sfdisk -q "$1" <"$2"', table)


def two_partitions(path: Path, boot: Path, other: Path, about: str) -> Path:
    """Make a disk with a GPT, `boot` in partition 1 and `other` in partition 2; return its path.

    about: sfdisk's fields for partition 2, except its start. Raises CommandFailed.
    """
    start = 4 * MIB + boot.stat().st_size
    with path.open("wb") as file:
        file.truncate(start + other.stat().st_size + 2 * MIB)
    size = boot.stat().st_size // 512
    table = path.with_name(path.name + ".table")
    table.write_text(
        f"label: gpt\n1: start=2MiB, size={size}\n2: start={start // MIB}MiB, {about}\n"
    )
    run(["sh", "-ec", 'sfdisk -q "$1" <"$2"', "sh", str(path), str(table)])
    for source, at in ((boot, 2), (other, start // MIB)):
        run(["dd", f"if={source}", f"of={path}", "bs=1M", f"seek={at}", "conv=notrunc,sparse"])
    return path


def partitioned_4096(path: Path, filesystem: Path, uuid: str, name: str) -> Path:
    """Make a disk with sectors of 4096 bytes, a GPT and the filesystem in partition 3; return it.

    uuid, name: PARTUUID and PARTLABEL of the partition. Raises CommandFailed.
    """
    # sfdisk has no option for the size of sectors before util-linux 2.40.
    commands = ["g", "n", "3", str(2 * MIB // 4096), "", "x", "u", uuid, "n", name, "r", "w", ""]
    script = 'fdisk -b 4096 -w never -W never "$1" <"$2"'
    return _partitioned(path, filesystem, script, "\n".join(commands))


def _partitioned(path: Path, filesystem: Path, script: str, commands: str) -> Path:
    with path.open("wb") as file:
        file.truncate(filesystem.stat().st_size + 4 * MIB)
    table = path.with_name(path.name + ".table")
    table.write_text(commands)
    run(["sh", "-ec", script, "sh", str(path), str(table)])
    run(["dd", f"if={filesystem}", f"of={path}", "bs=1M", "seek=2", "conv=notrunc,sparse"])
    return path


def _directory(path: Path, files: dict[str, Path]) -> Path:
    directory = path.parent / (path.name + ".d")
    directory.mkdir()
    for name, source in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        shutil.copy(source, directory / name)
    return directory


def _prototype(path: Path, files: dict[str, Path]) -> Path:
    """Write a description of the files for option -p of mkfs.xfs, and return its path."""
    directories: dict[str, list[str]] = {}
    for name, source in files.items():
        directory, _, base = name.rpartition("/")
        line = f"{base} ---{source.stat().st_mode & 0o777:o} 0 0 {source}"
        directories.setdefault(directory, []).append(line)
    lines = ["/unused", "0 0", "d--755 0 0", *directories.pop("", [])]
    for directory, entries in directories.items():
        lines += [f"{directory} d--755 0 0", *entries, "$"]
    prototype = path.parent / (path.name + ".proto")
    prototype.write_text("\n".join([*lines, "$", ""]))
    return prototype
