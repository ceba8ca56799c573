# SPDX-License-Identifier: MIT
"""Define the two kinds of machine that boot tiny guests: QEMU and user-mode Linux."""

import shutil
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from harness import accel, cpio, uml
from harness.guest import Guest
from harness.machine import Options
from harness.mini import Mini
from harness.running import Running
from harness.usermode import UserMode
from harness.vm import VM
from initoverlayfs.build import load_order

_MODULES = Path("/usr/lib/uml/modules")
# The modules of dracut/90initoverlayfs/filesystems.sh, and dm-verity with its dependencies.
_NAMES = (
    *("drivers/block/loop", "fs/erofs/erofs", "fs/overlayfs/overlay", "fs/squashfs/squashfs"),
    *("drivers/md/dm-mod", "drivers/md/dm-bufio", "drivers/md/dm-verity"),
    "drivers/md/dm-snapshot",
    *("fs/fat/fat", "fs/fat/vfat", "fs/nls/nls_cp437", "fs/nls/nls_ascii", "fs/nls/nls_iso8859-1"),
)
_HIDE = Path(__file__).resolve().parent / "inside/hide.c"


@dataclass(frozen=True)
class Platform:
    """A kernel, the mini-initramfs made for it, and the class of machine that boots it.

    disks: path of the first disk, without its last letter. console: the console's name on the
    kernel command line. builtin: modules.builtin, depmod's list of built-in modules.
    """

    release: str
    kernel: Path
    initrd: Path
    disks: str
    console: str
    machine: Callable[[Options], Running]
    accel: str = "tcg"
    builtin: str = ""

    def device(self, number: int) -> str:
        """Return the path of the disk of this number, from 0."""
        return self.disks + string.ascii_lowercase[number]


def qemu(guest: Guest, accelerator: str = "") -> Platform:
    """Return the platform with the kernel and the mini-initramfs of a Debian guest."""
    accelerator = accelerator or accel.best(guest.kernel)
    return Platform(guest.kver, guest.kernel, guest.initrd, "/dev/vd", "ttyS0", VM, accelerator)


def user_mode(storage_init: Path, directory: Path) -> Platform:
    """Return the platform of user-mode Linux. Makes its mini-initramfs in this directory.

    The kernel has ext4, xfs and btrfs built in. A program that runs before storage-init hides them.
    """
    (source,) = _MODULES.iterdir()
    tree = directory / "tree"
    modules = tree / "usr/lib/modules" / source.name / "kernel"
    for name in _NAMES:
        (modules / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / f"kernel/{name}.ko", modules / f"{name}.ko")
    load_order.main([str(tree), str(source), source.name])
    names = ("dev", "etc", "proc", "run", "sys")
    entries = [cpio.entry(name, mode=cpio.DIRECTORY | 0o755) for name in names]
    entries.append(cpio.entry("init", storage_init.read_bytes(), cpio.REGULAR | 0o755))
    for path in sorted(tree.rglob("*")):
        name = str(path.relative_to(tree))
        if path.is_dir():
            entries.append(cpio.entry(name, mode=cpio.DIRECTORY | 0o755))
        else:
            entries.append(cpio.entry(name, path.read_bytes()))
    shutil.rmtree(tree)
    initrd = directory / "initrd"
    Mini(entries).behind(_HIDE.read_text(), directory).write(initrd)
    program = shutil.which(uml.PROGRAM) or uml.PROGRAM
    builtin = (source / "modules.builtin").read_text()
    return Platform(
        source.name, Path(program), initrd, "/dev/ubd", "tty0", UserMode, builtin=builtin
    )
