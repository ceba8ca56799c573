# SPDX-License-Identifier: MIT
"""Run initoverlayfs-install in a Debian tree, or from outside on it, and look at the result."""

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

# Configuration of a small stage 2, which builds faster: it lacks drivers, which are half of stage 2
# and most of the time of a build, and the default compression would double that time.
_SMALL = {
    "etc/dracut.conf.d/small.conf": 'dracutmodules="systemd systemd-initrd base"\n',
    "etc/initoverlayfs.conf": f"bootfs UUID={disk.BOOT_UUID}\nbootfstype ext4\n"
    "erofs_compression lz4\n",
}
_EARLY = {
    "usr/lib/firmware/amd-ucode/microcode_amd.bin": "for no processor\n",
    "usr/lib/firmware/acpi/test.aml": "no table",
    "etc/dracut.conf.d/acpi.conf": "acpi_override=yes\nacpi_table_dir=/usr/lib/firmware/acpi\n",
}
# Names of the microcode and the ACPI table in the early archive, which precedes the main one.
EARLY = {"kernel/x86/microcode/AuthenticAMD.bin", "kernel/firmware/acpi/test.aml"}


@contextlib.contextmanager
def tree(name: str, deb: Path) -> Iterator[Path]:
    """Unpack the guest's tree, install the package, and remove the tree at the end.

    The tree has no initramfs yet.
    """
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
    """Configure the tree for a small stage 2, and add microcode and an ACPI table.

    more: lines for initoverlayfs.conf.
    """
    for name, text in {**_SMALL, **_EARLY}.items():
        run(as_root(["mkdir", "-p", str((tree / name).parent)]))
        guest.write(tree, name, text + (more if name.endswith("initoverlayfs.conf") else ""))


def small_pair(tree: Path) -> float:
    """Build a pair with a small stage 2; return the seconds it takes. Raises CommandFailed."""
    small(tree)
    started = time.monotonic()
    run(in_tree(tree, INSTALL.split()))
    return time.monotonic() - started


def attempt(tree: Path, script: str) -> tuple[int, str]:
    """Run a script in the tree; return its exit status and its output, errors included."""
    done = subprocess.run(
        in_tree(tree, ["sh", "-c", script]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def outside(tree: Path, *arguments: str) -> str:
    """Run this checkout's initoverlayfs-install on the host with --root; return its output.

    Raises CommandFailed.
    """
    program = "import sys; from initoverlayfs.main import main; sys.exit(main())"
    line: Sequence[str] = [sys.executable, "-c", program, "--root", str(tree), *arguments]
    return run(as_root(["env", f"PYTHONPATH={_ROOT}", *line]))


def digests(tree: Path) -> dict[str, str]:
    """Return path -> SHA-256 of each file that initoverlayfs-install may change or leave behind.

    Skips the files `lock` and `children`, which every run leaves.
    """
    places = "boot var/tmp var/cache/initoverlayfs etc/initoverlayfs.conf*"
    skipped = "! -name lock ! -name children"
    script = f"cd /; find {places} -type f {skipped} -exec sha256sum {{}} + 2>/dev/null"
    listing = attempt(tree, script)[1]
    return {line.split()[1]: line.split()[0] for line in listing.splitlines()}


def complaints(output: str) -> list[str]:
    """Return the lines of initoverlayfs-install's output, except those that report progress."""
    progress = ("initoverlayfs-install: building ", "initoverlayfs-install: writing ")
    return [line for line in output.splitlines() if not line.startswith(progress)]


def sha(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
