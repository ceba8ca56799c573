# SPDX-License-Identifier: MIT
"""Make disks with Debian on any storage layout, the package installed, and a plain initramfs.

User-mode Linux makes the layout and unpacks the system on it (harness.inside.layouts).
"""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from harness import cache, guest, uml
from harness.inside import layouts
from harness.inside.layouts import BOOT_UUID, LAYOUTS, ROOT_UUID
from harness.privilege import as_root, in_tree, run

_ROOT = Path(__file__).resolve().parent.parent
_SIZE = 6 << 30


@dataclass(frozen=True)
class System:
    """The tar file of a Debian system, its kernel, and the plain initramfs that dracut made."""

    kver: str
    tar: Path
    kernel: Path
    initrd: Path


def system(deb: Path) -> System:
    """Build the system with this package and all of Debian's storage tools."""

    def build(directory: Path) -> None:
        tree = directory / "tree"
        try:
            guest.extract(base, tree)
            guest.configure(tree)
            guest.install(tree, deb)
            kver = guest.kernel_version(tree)
            run(in_tree(tree, ["dracut", "-f", "--no-hostonly", "--kver", kver]))
            shutil.copy(tree / f"boot/vmlinuz-{kver}", directory / "kernel")
            shutil.copy(tree / f"boot/initrd.img-{kver}", directory / "initrd")
            line = ["tar", "-C", str(tree), "--numeric-owner", "--hard-dereference", "-cf"]
            run(as_root([*line, str(directory / "system.tar"), "."]))
            (directory / "system.json").write_text(json.dumps(kver))
        finally:
            cache.remove(tree)

    base = guest.base(more=guest.STORAGE)
    sources = Path(guest.__file__), Path(__file__)
    directory = cache.built("system", cache.digest(base.parent.name, deb, *sources), build)
    kver = json.loads((directory / "system.json").read_text())
    names = (directory / name for name in ("system.tar", "kernel", "initrd"))
    return System(kver, *names)


def disk(system: System, name: str, directory: Path) -> Path:
    """Make a disk with this system on a layout, and return its path; takes half a minute.

    Raises UmlFailure.
    """
    layout = LAYOUTS[name]
    types = {"xfs": "xfs", "btrfs": "btrfs"}
    fstab = f"UUID={ROOT_UUID} / {types.get(name, 'ext4')} defaults 0 1\n"
    if layout.boot:
        fstab += f"UUID={BOOT_UUID} /boot ext4 defaults 0 2\n"
    path = directory / f"{name}.disk"
    with path.open("wb") as file:
        file.truncate(_SIZE)
    python_path = ":".join(map(str, (_ROOT, _ROOT / "qemu-tests")))
    machine = uml.Uml(directory, Path(layouts.__file__), sys.executable, python_path)
    machine.run([path], {"make": name, "tree": str(system.tar), "fstab": fstab})
    return path
