# SPDX-License-Identifier: MIT
"""Define the variants of booting to compare, and build the machines that boot them."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable

from benchmarks import minimal, peer
from benchmarks.disks import steady
from harness import boot, cache, cpio, disk
from harness.guest import KERNEL, Guest, Progress
from harness.guest import guest as build_guest
from harness.machine import Drive, Options
from harness.privilege import run

PLAIN, FILE, DEVICE = "plain", "file", "device"


class Machines:
    """Build the guests and files that the variants require, each on its first use."""

    def __init__(
        self,
        deb: Path,
        directory: Path,
        progress: Progress,
        cpu: str = "",
        kernel: str = KERNEL,
    ) -> None:
        """Prepare to build; build nothing yet.

        directory: the place of files made from the guests; must exist while this object is used.
        cpu: QEMU's name of the processor; empty for QEMU's default. kernel: see harness.guest.
        """
        self._deb = deb
        self.directory = directory
        self.cpu = cpu
        self._kernel = kernel
        self._progress = progress

    @functools.cache  # noqa: B019 - the only object lives as long as the program
    def guest(self, mode: str = "init", verity: bool = False) -> Guest:
        """Return the Debian guest with the package installed."""
        return build_guest(self._deb, self._progress, self._kernel, mode, verity=verity)

    @property
    def name(self) -> str:
        """Return the path of the image in the boot filesystem."""
        return f"/initoverlayfs-{self.guest().kver}.img"

    @functools.cache  # noqa: B019
    def image(self) -> Path:
        """Copy the image out of the guest's boot filesystem. Raises OSError if that fails."""
        path = self.directory / "image"
        source = f"{self.guest().disk}?offset={disk.MIB}"
        run(["debugfs", "-R", f"dump {self.name} {path}", source])
        if path.stat().st_size != self.guest().image_bytes:
            raise OSError(f"{source}: cannot read {self.name}: the copy has another size")
        return path

    @functools.cache  # noqa: B019
    def mini(self) -> Sequence[cpio.Entry]:
        """Return the entries of the mini-initramfs."""
        return cpio.read(self.guest().initrd.read_bytes())

    @functools.cache  # noqa: B019
    def modules(self) -> Sequence[str]:
        """Return the modules that a boot from an image in a file loads with a mounted /boot."""
        built = self.guest()
        words = "rd.initoverlayfs.bootfs_mount=always"

        def build(directory: Path) -> None:
            self._progress("booting once to list the modules that stage 1 loads")
            names = minimal.loaded(boot.options(built, words, smp=1, icount=True))
            (directory / "names").write_text("\n".join(names))

        key = cache.digest(built.kernel, built.initrd, words)
        return (cache.built("bench-modules", key, build) / "names").read_text().split("\n")

    @functools.cache  # noqa: B019
    def program(self) -> Path:
        """Build the initramfs of the C program."""
        path = self.directory / "program"
        return minimal.program(self.mini(), self.modules(), self.name, path)

    @functools.cache  # noqa: B019
    def hostonly(self) -> Path:
        """Build the mini-initramfs with the modules of this machine only."""
        # Without a mounted boot filesystem, the image requires a loop device.
        modules = [*self.modules(), "loop"]
        return minimal.hostonly(self.mini(), modules, self.directory / "hostonly")

    @functools.cache  # noqa: B019
    def peer(self, name: str) -> Guest:
        """Return the Debian guest without the package, with an initramfs of one of peer.PEERS.

        Raises ValueError if the kernel is not Debian's.
        """
        if self._kernel != KERNEL:
            raise ValueError(f"{name}: requires Debian's kernel; select other variants with --only")
        return peer.guest(name, self._progress)


@dataclass(frozen=True)
class Variant:
    """A variant of booting the guest.

    machine: returns the machine, given the builder, true for virtual time, and the number of
    processors. attempt: the attempt of storage-init that must boot it, empty without storage-init.
    images: returns the sizes of its images in bytes. first: storage-init is the first process.
    """

    name: str
    about: str
    machine: Callable[[Machines, bool, int], Options]
    attempt: str = ""
    images: Callable[[Machines], "dict[str, int]"] = lambda machines: {}
    first: bool = True

    def options(self, machines: Machines, icount: bool) -> Options:
        """Return the machine: one processor in virtual time, or two in wall-clock time."""
        machine = self.machine(machines, icount, 1 if icount else 2)
        if machines.cpu:
            machine = replace(machine, extra=(*machine.extra, "-cpu", machines.cpu))
        return steady(machine, machines.directory) if icount else machine


def _plain(machines: Machines, icount: bool, smp: int) -> Options:
    built = machines.guest()
    return replace(boot.options(built, "", smp, icount), initrd=built.plain_initrd)


def _file(machines: Machines, icount: bool, smp: int) -> Options:
    return boot.options(machines.guest(), "", smp, icount)


def _device(machines: Machines, icount: bool, smp: int) -> Options:
    words = "rd.initoverlayfs.bootfs=/dev/vdb rd.initoverlayfs.fs=-"
    options = boot.options(machines.guest(), words, smp, icount)
    return replace(options, drives=(*options.drives, Drive(machines.image())))


def _verity(machines: Machines, icount: bool, smp: int) -> Options:
    return boot.options(machines.guest(verity=True), "", smp, icount)


def _systemd(machines: Machines, icount: bool, smp: int) -> Options:
    return boot.options(machines.guest("systemd"), "", smp, icount)


def _direct(machines: Machines, icount: bool, smp: int) -> Options:
    return boot.options(machines.guest(), "rd.initoverlayfs=direct", smp, icount)


def _hostonly(machines: Machines, icount: bool, smp: int) -> Options:
    return replace(_file(machines, icount, smp), initrd=machines.hostonly())


def _device_hostonly(machines: Machines, icount: bool, smp: int) -> Options:
    return replace(_device(machines, icount, smp), initrd=machines.hostonly())


def _program(machines: Machines, icount: bool, smp: int) -> Options:
    return replace(_file(machines, icount, smp), initrd=machines.program())


def _peer(name: str) -> Callable[[Machines, bool, int], Options]:
    return lambda machines, icount, smp: boot.options(machines.peer(name), "", smp, icount)


def _ours(machines: Machines) -> "dict[str, int]":
    return {"image": machines.guest().image_bytes}


def _ours_verified(machines: Machines) -> "dict[str, int]":
    return {"image": machines.guest(verity=True).image_bytes}


def _ours_systemd(machines: Machines) -> "dict[str, int]":
    return {"image": machines.guest("systemd").image_bytes}


VARIANTS = (
    Variant(PLAIN, "one initramfs, built by dracut as on any Debian machine", _plain),
    Variant(FILE, "the image in a file on /boot", _file, "image", _ours),
    Variant(DEVICE, "the image directly on a disk", _device, "image", _ours),
    Variant("verity", "the image in a file, verified", _verity, "image", _ours_verified),
    Variant(
        "systemd",
        "systemd mode: the first systemd is the mini-initramfs's",
        _systemd,
        "image",
        _ours_systemd,
        first=False,
    ),
    Variant("direct", "direct boot: the root filesystem without stage 2", _direct, "direct"),
    Variant(
        "hostonly", "like file, with the modules of this machine only", _hostonly, "image", _ours
    ),
    Variant(
        "device-hostonly",
        "like device, with the modules of this machine only",
        _device_hostonly,
        "image",
        _ours,
    ),
    Variant("c", "like file, with a sequential C program as stage 1", _program, "", _ours),
    *(Variant(name, one.about, _peer(name)) for name, one in peer.PEERS.items()),
)


def chosen(names: Sequence[str]) -> "list[Variant]":
    """Return the named variants in the order of the table, or all if `names` is empty.

    Raises ValueError for an unknown name.
    """
    known = {one.name for one in VARIANTS}
    for name in names:
        if name not in known:
            raise ValueError(f"no such variant: {name} ({', '.join(sorted(known))})")
    return [one for one in VARIANTS if not names or one.name in names]
