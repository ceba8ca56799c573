# SPDX-License-Identifier: MIT
"""Boot the real mini-initramfs into a tiny stage 2 that only reports, within a few seconds."""

import copy
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from harness import bootdisk
from harness.machine import Drive, Options
from harness.mini import Mini, compiled
from harness.platforms import Platform
from harness.privilege import run
from harness.running import PANIC, Ending, MachineFailure, Running
from initoverlayfs.build import binding_file as host_identity
from initoverlayfs.target import Target
from storage_init.formats import binding, superblock

OVERLAYFS = "794c7630"

_SOURCE = Path(__file__).resolve().parent / "inside/greeting.c"
_DIRECTORIES = ("dev", "proc", "sys", "run", "etc")
_PREFIX = "initoverlayfs: "

# Seconds of wall-clock time for a whole boot.
_TIMEOUT = 90.0


@dataclass(frozen=True)
class Outcome:
    """The outcome of a boot.

    ending: None if the machine was stopped early. greeting: key -> values of stage 2's report;
    empty if stage 2 did not run. seconds: duration in wall-clock time.
    """

    ending: Optional[Ending]
    console: str
    greeting: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def greeted(self) -> bool:
        """Return whether stage 2's init ran to its end."""
        return "end" in self.greeting and "greeting" in self.greeting

    @property
    def lines(self) -> list[str]:
        """Return the log lines of storage-init, without its prefix and the kernel's timestamps."""
        found = [line.partition(_PREFIX) for line in self.console.splitlines()]
        return [text for _, prefix, text in found if prefix]

    @property
    def mounts(self) -> list[str]:
        """Return the mount points that stage 2 saw, except the one that inside/hide.c made."""
        points = [line.split()[4] for line in self.greeting["mount"]]
        return sorted(point for point in points if point != "/proc/filesystems")

    @property
    def claimed(self) -> list[str]:
        """Return the disks and partitions that stage 2 could not open exclusively, and why."""
        return [line for line in self.greeting["exclusive"] if not line.endswith(" yes")]

    @property
    def boot(self) -> dict[str, Any]:
        """Return the content of boot.json."""
        loaded = json.loads("".join(self.greeting["boot"]))
        assert isinstance(loaded, dict)
        return loaded


def image(
    path: Path,
    init: Optional[Path],
    uuid: str = "1f0e0000-0000-4000-8000-0000000071e5",
    name: str = "",
    files: Optional[dict[str, bytes]] = None,
) -> Path:
    """Make the EROFS image of a stage 2 with this static init, or without one; return its path.

    name: suffix of the ID in its os-release. files: further files, path -> content.
    """
    tree = path.parent / (path.name + ".tree")
    for directory in _DIRECTORIES:
        (tree / directory).mkdir(parents=True)
    (tree / "etc/os-release").write_text("ID=tiny" + (f"-{name}" if name else "") + "\n")
    (tree / "etc/initrd-release").write_text("ID=tiny\n")
    for other, content in (files or {}).items():
        (tree / other).parent.mkdir(parents=True, exist_ok=True)
        (tree / other).write_bytes(content)
    if init is not None:
        (tree / "init").write_bytes(init.read_bytes())
        (tree / "init").chmod(0o755)
    run(["mkfs.erofs", "--all-root", "-T0", "-U", uuid, str(path), str(tree)])
    return path


class Tiny:
    """A platform with its mini-initramfs and the image of the greeting, shared by all tests."""

    def __init__(self, platform: Platform, directory: Path) -> None:
        self.platform = platform
        self.directory = directory
        self.name = f"initoverlayfs-{platform.release}.img"
        self.mini = Mini.load(platform.initrd).unbound()
        self.greeting = compiled(_SOURCE.read_text(), directory / "greeting")
        self.image = image(directory / "greeting.img", self.greeting)

    def device(self, number: int) -> str:
        """Return the path of the disk of this number, from 0."""
        return self.platform.device(number)

    def at(self, directory: Path) -> "Tiny":
        """Return a copy that keeps its files in another directory."""
        other = copy.copy(self)
        other.directory = directory
        return other

    def image_without_init(self) -> Path:
        """Make the image of a stage 2 without an init."""
        return image(self.directory / "empty.img", None)

    def identified(self, image: Path, verity: str = "", kind: str = "ext4", more: str = "") -> Mini:
        """Return configured(), bound to this image. verity: the words of the image's hash tree."""
        text = host_identity.text(self.uuid(image), image.stat().st_size, verity)
        return self.configured(kind, more, {binding.PATH.lstrip("/"): text.encode()})

    @staticmethod
    def uuid(image: Path) -> str:
        """Return the ID of an image."""
        with image.open("rb") as file:
            found = superblock.identify(lambda at, size: os.pread(file.fileno(), size, at))
        assert found
        return str(found.uuid)

    def with_hash_tree(self, image: Path, name: str = "verified.img") -> "tuple[Path, str]":
        """Copy an image and append a hash tree. Return the copy, and the words for the binding."""
        path = self.directory / name
        path.write_bytes(image.read_bytes())
        return path, host_identity.hash_tree(Target(Path("/")), str(path), self.uuid(path))

    def disk(
        self, kind: str = "ext4", uuid: str = "", files: Optional[dict[str, Path]] = None
    ) -> Path:
        """Make a boot disk of this type; return its path. files: the greeting's image if None."""
        path = self.directory / f"disk-{time.monotonic_ns()}-{kind}"
        return bootdisk.make(path, kind, {self.name: self.image} if files is None else files, uuid)

    def configured(
        self, kind: str = "ext4", more: str = "", files: Optional[dict[str, bytes]] = None
    ) -> Mini:
        """Return the mini-initramfs, configured for the default UUID of this type of filesystem.

        more: further lines of initoverlayfs.conf. files: further files, names without a leading
        slash.
        """
        mini = self.mini.configured(f"bootfs UUID={bootdisk.UUIDS[kind]}\n{more}")
        return mini.with_files(files or {})

    def boot(
        self,
        mini: Mini,
        drives: Sequence[Drive],
        cmdline: str = "",
        smp: int = 2,
        extra: Sequence[str] = (),
        meanwhile: Callable[[Running], None] = lambda machine: None,
        until: Optional[str] = None,
        keyboard: bool = False,
        icount: bool = False,
        memory: int = 512,
        console: bool = True,
        timeout: float = _TIMEOUT,
    ) -> Outcome:
        """Boot, call meanwhile(), wait for the machine's end or until the console matches `until`.

        icount: use virtual time, which passes like real time while the guest waits for the host.
        memory: in MiB. console: name the console on the kernel command line. timeout: in seconds of
        wall-clock time. Raises MachineFailure, also for a kernel panic.
        """
        started = time.monotonic()
        initrd = mini.write(self.directory / f"initrd-{time.monotonic_ns()}")
        options = Options(
            kernel=self.platform.kernel,
            initrd=initrd,
            cmdline=f"console={self.platform.console} {cmdline}" if console else cmdline,
            drives=tuple(drives),
            smp=smp,
            memory=memory,
            keyboard=keyboard,
            extra=tuple(extra),
            accel="tcg" if icount else self.platform.accel,
            icount=icount,
            idle=icount,
            timeout=timeout,
        )
        try:
            with self.platform.machine(options) as vm:
                meanwhile(vm)
                if until is None:
                    ending: Optional[Ending] = vm.wait_end()
                else:
                    ending = None
                    vm.wait_console(until, timeout)
                if PANIC in vm.console:
                    raise MachineFailure("machine: kernel panic\n" + vm.tail())
                took = time.monotonic() - started
                return Outcome(ending, vm.console, _greeting(vm.report), took)
        finally:
            initrd.unlink()


def _greeting(report: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in report.splitlines():
        key, _, value = line.partition(" ")
        if key:
            found.setdefault(key, []).append(value)
    return found
