# SPDX-License-Identifier: MIT
"""The Debian guest: a tree by mmdebstrap, the product installed in it as a user would, a disk.

Both layers are cached by content (harness.cache). Works as root, else in user namespaces.
"""

import json
import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable, Optional

from harness import cache, disk
from harness.privilege import CommandFailed, as_root, in_tree, run

SUITE = "trixie"
PACKAGES = (
    *("systemd-sysv", "udev", "dracut", "erofs-utils", "kmod", "zstd"),
    *("e2fsprogs", "xz-utils", "cpio", "python3", "login", "passwd", "cryptsetup-bin"),
)
# What a runtime of storage-init needs besides; the others' guests do without.
RUNTIMES: dict[str, tuple[str, ...]] = {
    "micropython": (),
    "python3": ("python3-cffi-backend", "python3-pyudev"),
}
# Debian's tools for what may be under a filesystem; dracut has modules for each.
STORAGE = ("lvm2", "mdadm", "cryptsetup", "btrfs-progs", "xfsprogs", "dosfstools")
# Where the guest's kernel is from: Debian 12, Debian 13 itself, its backports.
KERNELS = {"6.1": "bookworm", "6.12": SUITE, "7": SUITE + "-backports"}
KERNEL = "6.12"
KERNEL_HELP = f"{', '.join(KERNELS)}, or a kernel's Debian package [{KERNEL}]"

MIRROR = "INITOVERLAYFS_MIRROR"

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


def mirror() -> str:
    """The mirror that this machine uses for Debian. Raises CommandFailed where it has none."""
    found = os.environ.get(MIRROR)
    if found:
        return found
    targets = run(["apt-get", "indextargets", "--format", "$(ORIGIN)/$(LABEL) $(REPO_URI)"])
    for line in targets.splitlines():
        origin, _, uri = line.partition(" ")
        if origin == "Debian/Debian":
            return uri.rstrip("/")
    raise CommandFailed("no Debian mirror is known here: set " + MIRROR)


def base(
    progress: Progress = print,
    kernel: str = KERNEL,
    runtime: str = "micropython",
    more: Sequence[str] = (),
) -> Path:
    """The tar file of the tree without the product.

    kernel: one of KERNELS, or the path of a kernel's Debian package. runtime: one of RUNTIMES.
    more: further packages. Raises CommandFailed for another kernel.
    """
    own = [] if kernel in KERNELS else [Path(kernel).resolve()]
    suite = KERNELS.get(kernel, SUITE)
    packages = (*PACKAGES, *RUNTIMES[runtime], *more)
    for deb in own:
        if not deb.is_file():
            known = ", ".join(KERNELS)
            raise CommandFailed(f"kernel {kernel}: neither one of {known} nor a package's file")

    def build(directory: Path) -> None:
        progress(f"building a Debian {SUITE} tree with mmdebstrap (about a minute)")
        image = [] if own else ["linux-image-amd64" + ("" if suite == SUITE else "/" + suite)]
        # INITRD=No: the kernel's postinst makes no initramfs, the next layer does
        line = ["env", "INITRD=No", "mmdebstrap", "--quiet", "--variant=apt", "--format=tar"]
        if os.geteuid() != 0:
            line.append("--mode=unshare")
        # apt on its own would satisfy the kernel's dependency with initramfs-tools, which
        # conflicts with dracut; in one transaction with dracut it does not
        if suite != SUITE:
            more = f'echo deb {mirror()} {suite} main >"$1"/etc/apt/sources.list.d/kernel.list'
            line.append("--setup-hook=" + more)
        for deb in own:
            line.append(f"--customize-hook=upload {shlex.quote(str(deb))} /kernel.deb")
            line.append('--customize-hook=chroot "$1" dpkg -i /kernel.deb && rm "$1/kernel.deb"')
        line += ["--include=" + ",".join((*packages, *image)), SUITE, str(directory / "base.tar")]
        line += [os.environ[MIRROR]] if os.environ.get(MIRROR) else []
        run(line)

    key = cache.digest(SUITE, suite, *packages, *own)
    kind = f"base@{_name(kernel)}" + _suffix(runtime) + ("@more" if more else "")
    return cache.built(kind, key, build) / "base.tar"


def _name(kernel: str) -> str:
    return kernel if kernel in KERNELS else "own"


def _suffix(runtime: str) -> str:
    return f"@{runtime}" if RUNTIMES[runtime] else ""


def guest(
    deb: Path,
    progress: Progress = print,
    kernel: str = KERNEL,
    mode: str = "init",
    runtime: str = "micropython",
    verity: bool = False,
) -> Guest:
    """The guest with this package installed and its images built by initoverlayfs-install.

    kernel, runtime: see base(). mode: what initoverlayfs-install builds, init or systemd. verity:
    whether its image has a hash tree, and is verified.
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
            target = tree / f"boot/initrd.img-{kver}"

            def plain(directory: Path) -> None:
                progress("building a plain dracut initramfs, to compare sizes")
                run(in_tree(tree, ["dracut", "-f", "--no-hostonly", "--kver", kver]), log)
                shutil.copy(target, directory / "initrd")

            # every mode's guest has the same one
            kept = cache.built("plain" + what, cache.digest(tar.parent.name, deb, *ours), plain)
            shutil.copy(kept / "initrd", directory / "plain-initrd")
            run(as_root(["install", "-m", "600", str(kept / "initrd"), str(target)]))
            progress("running initoverlayfs-install in it")
            line = ["initoverlayfs-install", "-f", "--no-hostonly", "--kver", kver]
            line += [] if mode == "init" else ["--mode", mode]
            line += ["--runtime", runtime] if RUNTIMES[runtime] else []
            line += ["--verity"] if verity else []
            run(in_tree(tree, line), log)
            progress("making its disk")
            finish(directory, tree, kver)
        finally:
            cache.remove(tree)

    tar = base(progress, kernel, runtime)
    what = f"@{_name(kernel)}" + _suffix(runtime)
    ours = [(_HERE / name) for name in ("guest.py", "disk.py", "inside/collect.py")]
    key = cache.digest(tar.parent.name, deb, *ours, mode)
    kind = f"guest@{_name(kernel)}@{mode}" + _suffix(runtime) + ("@verity" if verity else "")
    directory = cache.built(kind, key, build)
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
        "usr/local/lib/harness-collect.py": (_HERE / "inside/collect.py").read_text(),
    }
    for name, text in files.items():
        write(tree, name, text)
    run(in_tree(tree, ["systemctl", "enable", "harness-collect.service"]))
    run(in_tree(tree, ["passwd", "-d", "root"]))


def write(tree: Path, name: str, text: str) -> None:
    """Make a file of root's in the tree."""
    temporary = tree.parent / "file"
    temporary.write_text(text)
    run(as_root(["install", "-m", "644", str(temporary), str(tree / name)]))
    temporary.unlink()


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
    vmlinuz = boot / f"vmlinuz-{kver}"
    if not vmlinuz.exists():  # from Linux 7 on, Debian leaves it with the modules
        vmlinuz = tree / f"usr/lib/modules/{kver}/vmlinuz"
    shutil.copy(vmlinuz, directory / "kernel")
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
