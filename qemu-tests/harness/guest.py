# SPDX-License-Identifier: MIT
"""The Debian guest: a tree by mmdebstrap, the product installed in it as a user would, a disk.

Both layers are cached by content (harness.cache). Works as root, else in user namespaces.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable, Optional

from harness import cache, disk
from harness.privilege import as_root, in_tree, run

SUITE = "trixie"
PACKAGES = (
    *("systemd-sysv", "udev", "dracut", "erofs-utils", "linux-image-amd64", "kmod", "zstd"),
    *("e2fsprogs", "xz-utils", "cpio", "python3", "login", "passwd"),
)

CMDLINE = f"root=UUID={disk.ROOT_UUID} ro console=ttyS0"

_HERE = Path(__file__).resolve().parent
_FSTAB = f"""\
UUID={disk.ROOT_UUID} / ext4 defaults 0 1
UUID={disk.BOOT_UUID} /boot ext4 defaults 0 2
"""
_UNIT = """\
[Unit]
Description=Report how this machine booted and power it off
After=multi-user.target
ConditionKernelCommandLine=!harness.stay

[Service]
ExecStart=/usr/bin/python3 /usr/local/lib/harness-collect.py
StandardOutput=journal

[Install]
WantedBy=multi-user.target
"""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Guest:
    """A built guest: what QEMU needs, and sizes in bytes."""

    kver: str
    kernel: Path
    initrd: Path
    plain_initrd: Path
    disk: Path
    initramfs_bytes: int
    plain_initramfs_bytes: int
    image_bytes: int


def base(progress: Progress = print) -> Path:
    """The tar file of the tree without the product."""

    def build(directory: Path) -> None:
        progress(f"building a Debian {SUITE} tree with mmdebstrap (about a minute)")
        # INITRD=No: the kernel's postinst makes no initramfs, the next layer does
        line = ["env", "INITRD=No", "mmdebstrap", "--quiet", "--variant=apt", "--format=tar"]
        if os.geteuid() != 0:
            line.append("--mode=unshare")
        # apt on its own would satisfy the kernel's dependency with initramfs-tools, which
        # conflicts with dracut; in one transaction with dracut it does not
        line += ["--include=" + ",".join(PACKAGES), SUITE, str(directory / "base.tar")]
        line += [mirror] if mirror else []
        run(line)

    mirror = os.environ.get("INITOVERLAYFS_MIRROR")
    return cache.built("base", cache.digest(SUITE, *PACKAGES), build) / "base.tar"


def guest(deb: Path, progress: Progress = print, mode: str = "init") -> Guest:
    """The guest with this package installed and its images built by initoverlayfs-install.

    mode: what initoverlayfs-install builds, init or systemd.
    """

    def build(directory: Path) -> None:
        tree = directory / "tree"
        try:
            progress("unpacking the tree, installing " + deb.name)
            extract(tar, tree)
            configure(tree)
            log = directory / "log"
            install(tree, deb, log)
            kver = kernel_version(tree)
            progress("building a plain dracut initramfs, to compare sizes")
            run(in_tree(tree, ["dracut", "-f", "--no-hostonly", "--kver", kver]), log)
            shutil.copy(tree / f"boot/initrd.img-{kver}", directory / "plain-initrd")
            progress("running initoverlayfs-install in it")
            line = ["initoverlayfs-install", "-f", "--no-hostonly", "--kver", kver]
            line += [] if mode == "init" else ["--mode", mode]
            run(in_tree(tree, line), log)
            progress("making its disk")
            finish(directory, tree, kver)
        finally:
            cache.remove(tree)

    tar = base(progress)
    ours = [(_HERE / name) for name in ("guest.py", "disk.py", "collect.py")]
    kind = "guest" if mode == "init" else "guest@" + mode
    directory = cache.built(kind, cache.digest(tar.parent.name, deb, *ours, mode), build)
    facts = json.loads((directory / "guest.json").read_text())
    names = ("kernel", "initrd", "plain_initrd", "disk")
    return Guest(**{**facts, **{name: directory / facts[name] for name in names}})


def extract(tar: Path, tree: Path) -> None:
    """Unpack the base tree with its owners into a new directory."""
    run(as_root(["mkdir", str(tree)]))
    # a user namespace cannot make device nodes; the chroot gets the machine's /dev
    run(as_root(["tar", "-C", str(tree), "--numeric-owner", "--exclude=./dev/*", "-xf", str(tar)]))


def configure(tree: Path) -> None:
    """What makes the tree a machine: fstab, name, identity, login, and the report's unit."""
    files = {
        "etc/fstab": _FSTAB,
        "etc/hostname": "guest\n",
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "etc/systemd/system/harness-collect.service": _UNIT,
        "usr/local/lib/harness-collect.py": (_HERE / "collect.py").read_text(),
    }
    for name, text in files.items():
        temporary = tree.parent / "file"
        temporary.write_text(text)
        run(as_root(["install", "-m", "644", str(temporary), str(tree / name)]))
        temporary.unlink()
    run(in_tree(tree, ["systemctl", "enable", "harness-collect.service"]))
    run(in_tree(tree, ["passwd", "-d", "root"]))


def install(tree: Path, deb: Path, log: Optional[Path] = None) -> None:
    """Install a package in the tree with apt, without the network."""
    run(as_root(["install", "-m", "644", str(deb), str(tree / "var/cache" / deb.name)]))
    run(in_tree(tree, ["apt-get", "install", "-y", f"/var/cache/{deb.name}"]), log)
    run(as_root(["rm", str(tree / "var/cache" / deb.name)]))


def kernel_version(tree: Path) -> str:
    """The one kernel version the tree has modules for."""
    (modules,) = (tree / "usr/lib/modules").iterdir()
    return modules.name


def finish(directory: Path, tree: Path, kver: str) -> None:
    """Copy out what QEMU needs, make the disk, write guest.json."""
    boot = tree / "boot"
    initrd = boot / f"initrd.img-{kver}"
    shutil.copy(boot / f"vmlinuz-{kver}", directory / "kernel")
    shutil.copy(initrd, directory / "initrd")
    image = boot / f"initoverlayfs-{kver}.img"
    facts = Guest(
        kver=kver,
        kernel=Path("kernel"),
        initrd=Path("initrd"),
        plain_initrd=Path("plain-initrd"),
        disk=Path("disk"),
        initramfs_bytes=initrd.stat().st_size,
        plain_initramfs_bytes=(directory / "plain-initrd").stat().st_size,
        image_bytes=image.stat().st_size if image.exists() else 0,
    )
    disk.make(directory / "disk", tree)
    (directory / "guest.json").write_text(json.dumps(asdict(facts), default=str, indent=1) + "\n")
