# SPDX-License-Identifier: MIT
"""Build the Debian guest: a tree made by mmdebstrap, the package installed with apt, a disk.

The tree and the guest are cached by content (harness.cache). Requires root or user namespaces.
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
# Further packages that each runtime of storage-init requires. Guests with another runtime lack
# them, which proves that they are optional.
RUNTIMES: dict[str, tuple[str, ...]] = {
    "micropython": (),
    "python3": ("python3-cffi-backend", "python3-pyudev"),
}
# Debian's tools for the storage below a filesystem. dracut has a module for each.
STORAGE = ("lvm2", "mdadm", "cryptsetup", "btrfs-progs", "xfsprogs", "dosfstools")
# Version of the guest's kernel -> its suite: Debian 12, Debian 13 or its backports.
KERNELS = {"6.1": "bookworm", "6.12": SUITE, "7": SUITE + "-backports"}
KERNEL = "6.12"
KERNEL_HELP = f"{', '.join(KERNELS)}, or the file of a kernel's Debian package [{KERNEL}]"

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
    """The files of a built guest that QEMU requires, and sizes in bytes."""

    kver: str
    kernel: Path
    initrd: Path
    plain_initrd: Path
    disk: Path
    initramfs_bytes: int
    plain_initramfs_bytes: int
    image_bytes: int


def mirror() -> str:
    """Return the URL of the Debian mirror: $INITOVERLAYFS_MIRROR, or the one that apt uses here.

    Raises CommandFailed if there is none.
    """
    found = os.environ.get(MIRROR)
    if found:
        return found
    targets = run(["apt-get", "indextargets", "--format", "$(ORIGIN)/$(LABEL) $(REPO_URI)"])
    for line in targets.splitlines():
        origin, _, uri = line.partition(" ")
        if origin == "Debian/Debian":
            return uri.rstrip("/")
    raise CommandFailed("apt has no Debian mirror: set " + MIRROR)


def base(
    progress: Progress = print,
    kernel: str = KERNEL,
    runtime: str = "micropython",
    more: Sequence[str] = (),
) -> Path:
    """Build the tree without the initoverlayfs package; return its tar file.

    kernel: one of KERNELS, or the path of a kernel's Debian package. runtime: one of RUNTIMES.
    more: further packages. Raises CommandFailed if mmdebstrap fails or `kernel` is neither.
    """
    own = [] if kernel in KERNELS else [Path(kernel).resolve()]
    suite = KERNELS.get(kernel, SUITE)
    packages = (*PACKAGES, *RUNTIMES[runtime], *more)
    for deb in own:
        if not deb.is_file():
            known = ", ".join(KERNELS)
            raise CommandFailed(f"kernel {kernel}: neither one of {known} nor a package file")

    def build(directory: Path) -> None:
        progress(f"building a Debian {SUITE} tree with mmdebstrap (about a minute)")
        image = [] if own else ["linux-image-amd64" + ("" if suite == SUITE else "/" + suite)]
        # With INITRD=No the kernel's postinst makes no initramfs. guest() makes it later.
        line = ["env", "INITRD=No", "mmdebstrap", "--quiet", "--variant=apt", "--format=tar"]
        if os.geteuid() != 0:
            line.append("--mode=unshare")
        # The kernel is in --include, in one transaction with dracut. Otherwise apt would satisfy
        # its dependency with initramfs-tools, which conflicts with dracut.
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
    """Build the guest with this package installed, and its pair built by initoverlayfs-install.

    kernel, runtime: see base(). mode: init or systemd. verity: build a hash tree, and verify the
    image. Raises CommandFailed.
    """

    def build(directory: Path) -> None:
        tree = directory / "tree"
        try:
            progress(f"unpacking the tree and installing {deb.name}")
            extract(tar, tree)
            configure(tree)
            log = directory / "log"
            install(tree, deb, log)
            kver = kernel_version(tree)
            target = tree / f"boot/initrd.img-{kver}"

            def plain(directory: Path) -> None:
                progress("building a plain initramfs with dracut to compare sizes")
                run(in_tree(tree, ["dracut", "-f", "--no-hostonly", "--kver", kver]), log)
                shutil.copy(target, directory / "initrd")

            # The guests of all modes have the same plain initramfs.
            kept = cache.built("plain" + what, cache.digest(tar.parent.name, deb, *sources), plain)
            shutil.copy(kept / "initrd", directory / "plain-initrd")
            run(as_root(["install", "-m", "600", str(kept / "initrd"), str(target)]))
            progress("building the pair with initoverlayfs-install")
            line = ["initoverlayfs-install", "-f", "--no-hostonly", "--kver", kver]
            line += [] if mode == "init" else ["--mode", mode]
            line += ["--runtime", runtime] if RUNTIMES[runtime] else []
            line += ["--verity"] if verity else []
            run(in_tree(tree, line), log)
            progress("making the disk")
            finish(directory, tree, kver)
        finally:
            cache.remove(tree)

    tar = base(progress, kernel, runtime)
    what = f"@{_name(kernel)}" + _suffix(runtime)
    sources = [(_HERE / name) for name in ("guest.py", "disk.py", "inside/collect.py")]
    key = cache.digest(tar.parent.name, deb, *sources, mode)
    kind = f"guest@{_name(kernel)}@{mode}" + _suffix(runtime) + ("@verity" if verity else "")
    directory = cache.built(kind, key, build)
    facts = json.loads((directory / "guest.json").read_text())
    names = ("kernel", "initrd", "plain_initrd", "disk")
    return Guest(**{**facts, **{name: directory / facts[name] for name in names}})


def extract(tar: Path, tree: Path) -> None:
    """Unpack the base tree into a new directory and keep the owners of its files."""
    run(as_root(["mkdir", str(tree)]))
    # A user namespace cannot make device nodes. in_tree() mounts the host's /dev instead.
    run(as_root(["tar", "-C", str(tree), "--numeric-owner", "--exclude=./dev/*", "-xf", str(tar)]))


def configure(tree: Path) -> None:
    """Write fstab, hostname and machine ID, allow root to log in, and enable the report's unit."""
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
    """Write a file with mode 0644 in the tree, owned by root."""
    temporary = tree.parent / "file"
    temporary.write_text(text)
    run(as_root(["install", "-m", "644", str(temporary), str(tree / name)]))
    temporary.unlink()


def install(tree: Path, deb: Path, log: Optional[Path] = None) -> None:
    """Install a package file in the tree with apt. Requires no network."""
    run(as_root(["install", "-m", "644", str(deb), str(tree / "var/cache" / deb.name)]))
    run(in_tree(tree, ["apt-get", "install", "-y", f"/var/cache/{deb.name}"]), log)
    run(as_root(["rm", str(tree / "var/cache" / deb.name)]))


def kernel_version(tree: Path) -> str:
    """Return the kernel version of the tree. Raises ValueError unless it has exactly one."""
    (modules,) = (tree / "usr/lib/modules").iterdir()
    return modules.name


def finish(directory: Path, tree: Path, kver: str) -> None:
    """Copy the kernel and the initramfs out of the tree, make the disk, write guest.json."""
    boot = tree / "boot"
    initrd = boot / f"initrd.img-{kver}"
    vmlinuz = boot / f"vmlinuz-{kver}"
    if not vmlinuz.exists():  # since Linux 7, Debian ships it beside the modules
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
