# SPDX-License-Identifier: MIT
"""Measure the time to the first systemd by the size of content that no boot reads.

Files of random bytes are added to plain dracut's initramfs, in an archive before it, and to the
image. mkfs.erofs rebuilds the image, which is a file on a second disk, or is that disk. All
machines have the memory that the largest one requires.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import minimal
from benchmarks.disks import locked_in_memory, steady
from benchmarks.runs import once
from benchmarks.statistics import Figure, figure
from benchmarks.variants import DEVICE, FILE, PLAIN, Machines, chosen
from harness import beside, boot, cache, cpio
from harness.beside import Check
from harness.guest import Progress
from harness.machine import Drive, Options
from harness.mini import Mini
from harness.privilege import as_root, run
from storage_init.formats import binding

SIZES = (0, 64, 128, 256, 512, 1024)  # MiB
MEMORY = 4096  # MiB
PIECE = 64 << 20
MARK = "first_systemd"
ATTEMPTS = {one.name: one.attempt for one in chosen((PLAIN, FILE, DEVICE))}

Points = dict[str, dict[str, Figure]]  # variant -> MiB -> seconds


def pieces(size: int, largest: int = PIECE) -> list[int]:
    """Split a size in bytes into the sizes of files of at most `largest` bytes."""
    return [min(largest, size - at) for at in range(0, size, largest)]


def grown_initramfs(plain: Path, size: int, path: Path) -> Path:
    """Write an initramfs: an archive of random files, followed by the plain initramfs."""
    with path.open("wb") as file:
        for number, length in enumerate(pieces(size)):
            file.write(cpio.write([cpio.entry(f"unused.{number}", os.urandom(length))]))
        file.write(plain.read_bytes())
    return path


def grown_image(tree: Path, size: int, path: Path) -> Path:
    """Write an EROFS image of the tree with random files added."""
    unused = tree / "unused"
    try:
        unused.mkdir()
        for number, length in enumerate(pieces(size)):
            (unused / str(number)).write_bytes(os.urandom(length))
        run(["mkfs.erofs", "-zlz4", "-T0", "--all-root", str(path), str(tree)])
    finally:
        cache.remove(unused)
    return path


def in_a_file(image: Path) -> Path:
    """Replace an image by a disk with an ext4 filesystem that contains it as /image."""
    directory = image.with_name(image.name + ".d")
    size = image.stat().st_size
    directory.mkdir()
    image.rename(directory / "image")
    with image.open("wb") as file:
        file.truncate(size + (64 << 20))
    run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-d", str(directory), str(image)])
    cache.remove(directory)
    return image


def extracted(machines: Machines) -> Path:
    """Extract the image, and return the tree."""
    tree = machines.directory / "stage2"
    run(as_root(["fsck.erofs", f"--extract={tree}", str(machines.image())]))
    return tree


def machine(machines: Machines, variant: str, tree: Path, size: int) -> Options:
    """Return the machine of a variant and a size in bytes. Overwrites the last size's files."""
    path = machines.directory / f"grown-{variant}"
    built = machines.guest()
    if variant == PLAIN:
        options = boot.options(built, "", 1, icount=True)
        options = replace(options, initrd=grown_initramfs(built.plain_initrd, size, path))
    else:
        disk = grown_image(tree, size, path)
        name = "-"
        if variant == FILE:
            disk, name = in_a_file(disk), "/image"
        words = f"rd.initoverlayfs.bootfs=/dev/vdb rd.initoverlayfs.fs={name}"
        options = boot.options(built, words, 1, icount=True)
        # Remove the binding, which names the original image.
        mini = Mini(machines.mini()).without(binding.PATH.lstrip("/"))
        initrd = minimal.compressed(mini.entries, machines.directory / "grown-mini")
        options = replace(options, initrd=initrd, drives=(*options.drives, Drive(disk)))
    return steady(replace(options, memory=MEMORY), machines.directory)


def _once(turn: tuple[str, Options], check: Check) -> dict[str, float]:
    name, options = turn
    return once(options, MARK, ATTEMPTS[name], check)


def measure(
    machines: Machines, runs: int, sizes: Sequence[int], jobs: int, progress: Progress
) -> Points:
    """Measure the seconds to the first systemd for each variant and each size in MiB.

    jobs: the number of concurrent boots.
    """
    tree = extracted(machines)
    found: Points = {name: {} for name in ATTEMPTS}
    for size in sizes:
        values: dict[str, list[float]] = {name: [] for name in ATTEMPTS}
        prepared = {name: machine(machines, name, tree, size << 20) for name in ATTEMPTS}
        with locked_in_memory(prepared.values()):
            for (name, _), metrics in beside.each(_once, list(prepared.items()) * runs, jobs):
                values[name].append(metrics[MARK])
        for name, seconds in values.items():
            found[name][str(size)] = figure(seconds)
            median = found[name][str(size)]["median"]
            progress(f"{name}, {size} MiB of unused content: {median:.2f} s")
    return found
