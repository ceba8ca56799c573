# SPDX-License-Identifier: MIT
"""The files of kernel modules, and which of them stay compressed in a mini-initramfs.

Nearly all of a generic mini-initramfs are drivers, of which a boot loads a few. Where the kernel
unpacks modules by itself, these stay as they are: an unpacked module takes six times the room in
memory, and has to be written there whether it is loaded or not. A module that every boot loads
is better off unpacked, since the kernel reads xz more slowly than the archive.

    python3 -m initoverlayfs.build.module_files DIRECTORY

unpacks all that are below a directory.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

# The ending of a compressed module -> what the kernel's configuration calls that, and the program
# that unpacks the file and removes it.
_COMPRESSIONS = {
    ".xz": ("XZ", ("xz", "-d")),
    ".zst": ("ZSTD", ("zstd", "-q", "-d", "--rm")),
    ".gz": ("GZIP", ("gzip", "-d")),
}


def found(directory: Path) -> list[str]:
    """Paths below the directory of every module in it, compressed or not."""
    paths = [*directory.rglob("*.ko"), *directory.rglob("*.ko.*")]
    return sorted(str(path.relative_to(directory)) for path in paths)


def unpacked_by_kernel(source: Path, release: str, boot: Path = Path("/boot")) -> "set[str]":
    """Endings of the modules that this kernel unpacks by itself, since Linux 5.17; or none.

    source: its directory below lib/modules. It is asked by its configuration; one that is not there
    promises nothing.
    """
    for path in (source / "config", boot / f"config-{release}"):
        if path.exists():
            lines = set(path.read_text().splitlines())
            if "CONFIG_MODULE_DECOMPRESS=y" not in lines:
                return set()
            return {
                ending
                for ending, (name, _) in _COMPRESSIONS.items()
                if f"CONFIG_MODULE_COMPRESS_{name}=y" in lines
            }
    return set()


def unpack(directory: Path, files: Iterable[str]) -> None:
    """Unpack those of these files below a directory that are compressed, each in its place.

    Raises OSError, and CalledProcessError where a program fails.
    """
    todo: dict[str, list[str]] = {}
    for name in files:
        todo.setdefault(Path(name).suffix, []).append(str(directory / name))
    for ending, (_, program) in _COMPRESSIONS.items():
        if ending in todo:
            subprocess.run([*program, *todo[ending]], check=True)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), found(Path(sys.argv[1])))
