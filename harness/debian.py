# SPDX-License-Identifier: MIT
"""initoverlayfs-install in a Debian tree, as its root or from outside, and what it did to it."""

import contextlib
import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import cache, disk, guest
from harness.privilege import as_root, in_tree, run

INSTALL = "initoverlayfs-install -f --no-hostonly"

_ROOT = Path(__file__).resolve().parent.parent


# Half of stage 2 is drivers, which take most of the time; what compresses best, as much again.
_SMALL = {
    "etc/dracut.conf.d/small.conf": 'dracutmodules="systemd systemd-initrd base"\n',
    "etc/initoverlayfs.conf": f"bootfs UUID={disk.BOOT_UUID}\nbootfstype ext4\n"
    "erofs_compression lz4\n",
}
_EARLY = {
    "usr/lib/firmware/amd-ucode/microcode_amd.bin": "none of any processor's\n",
    "usr/lib/firmware/acpi/test.aml": "no table",
    "etc/dracut.conf.d/acpi.conf": "acpi_override=yes\nacpi_table_dir=/usr/lib/firmware/acpi\n",
}
# These come of it, in an archive before the main one.
EARLY = {"kernel/x86/microcode/AuthenticAMD.bin", "kernel/firmware/acpi/test.aml"}


@contextlib.contextmanager
def tree(name: str, deb: Path) -> Iterator[Path]:
    """The guest's tree with the package installed; no initramfs yet. It is removed afterwards."""
    directory = cache.home() / name
    cache.remove(directory)
    try:
        guest.extract(guest.base(), directory)
        guest.configure(directory)
        guest.install(directory, deb)
        yield directory
    finally:
        cache.remove(directory)


def small(tree: Path, more: str = "") -> None:
    """From now on its stage 2 is a small one, and it has microcode and an ACPI table.

    more: configuration.
    """
    for name, text in {**_SMALL, **_EARLY}.items():
        run(as_root(["mkdir", "-p", str((tree / name).parent)]))
        guest.write(tree, name, text + (more if name.endswith("initoverlayfs.conf") else ""))


def small_pair(tree: Path) -> float:
    """Have a pair built with a small stage 2: the seconds that takes. Raises CommandFailed."""
    small(tree)
    started = time.monotonic()
    run(in_tree(tree, INSTALL.split()))
    return time.monotonic() - started


def attempt(tree: Path, script: str) -> tuple[int, str]:
    """Run a script in the tree: its exit status and all it wrote."""
    done = subprocess.run(
        in_tree(tree, ["sh", "-c", script]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def outside(tree: Path, *arguments: str) -> str:
    """initoverlayfs-install of this checkout, on this machine, for the tree: what it wrote."""
    program = "import sys; from initoverlayfs.main import main; sys.exit(main())"
    line: Sequence[str] = [sys.executable, "-c", program, "--root", str(tree), *arguments]
    return run(as_root(["env", f"PYTHONPATH={_ROOT}", *line]))


def digests(tree: Path) -> dict[str, str]:
    """Every file that initoverlayfs-install may change, or leave in its way."""
    places = "boot var/tmp var/cache/initoverlayfs etc/initoverlayfs.conf*"
    known = "! -name lock ! -name children"
    script = f"cd /; find {places} -type f {known} -exec sha256sum {{}} + 2>/dev/null"
    listing = attempt(tree, script)[1]
    return {line.split()[1]: line.split()[0] for line in listing.splitlines()}


def complaints(output: str) -> list[str]:
    """The lines in what it wrote that are no progress."""
    progress = ("initoverlayfs-install: building ", "initoverlayfs-install: writing ")
    return [line for line in output.splitlines() if not line.startswith(progress)]


def sha(path: Path) -> str:
    """The digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
