# SPDX-License-Identifier: MIT
"""Find and decompress the files of kernel modules.

A generic mini-initramfs consists mostly of drivers, of which a boot loads a few. If the kernel can
decompress modules, these stay compressed: a decompressed module takes six times the space in
memory, and the kernel has to write it there whether it is loaded or not. Modules that every boot
loads are decompressed at build time, because the kernel decompresses an xz module more slowly than
the initramfs.

    python3 -m initoverlayfs.build.module_files DIRECTORY

decompresses all modules below a directory.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

# suffix of a compressed module -> its name in the kernel's configuration, and the command that
# replaces the file by its decompressed content
_COMPRESSIONS = {
    ".xz": ("XZ", ("xz", "-d")),
    ".zst": ("ZSTD", ("zstd", "-q", "-d", "--rm")),
    ".gz": ("GZIP", ("gzip", "-d")),
}


def find(directory: Path) -> list[str]:
    """Return the paths below a directory of every module in it, compressed or not, sorted."""
    paths = [*directory.rglob("*.ko"), *directory.rglob("*.ko.*")]
    return sorted(str(path.relative_to(directory)) for path in paths)


def kernel_decompresses(source: Path, release: str, boot: Path = Path("/boot")) -> "set[str]":
    """Return the suffixes of the modules that a kernel decompresses itself (Linux 5.17 and later).

    source: the kernel's directory below lib/modules. Reads the kernel's configuration file there,
    else in boot; without one, assumes that the kernel cannot decompress modules.
    """
    for path in (source / "config", boot / f"config-{release}"):
        if path.exists():
            lines = set(path.read_text().splitlines())
            if "CONFIG_MODULE_DECOMPRESS=y" not in lines:
                return set()
            return {
                suffix
                for suffix, (name, _) in _COMPRESSIONS.items()
                if f"CONFIG_MODULE_COMPRESS_{name}=y" in lines
            }
    return set()


def decompress(directory: Path, files: Iterable[str]) -> None:
    """Replace compressed modules by their decompressed content; skip the others.

    files: paths below the directory. Raises OSError, and CalledProcessError if a command fails.
    """
    by_suffix: dict[str, list[str]] = {}
    for name in files:
        by_suffix.setdefault(Path(name).suffix, []).append(str(directory / name))
    for suffix, (_, command) in _COMPRESSIONS.items():
        if suffix in by_suffix:
            subprocess.run([*command, *by_suffix[suffix]], check=True)


if __name__ == "__main__":
    decompress(Path(sys.argv[1]), find(Path(sys.argv[1])))
