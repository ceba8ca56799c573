# SPDX-License-Identifier: MIT
"""How the time to the first systemd grows with content that a boot does not use.

The same files of random bytes go into plain dracut's initramfs, as an archive before it, and into
the image, which is made anew by mkfs.erofs and lies in a file on a second disk, or is that disk.
All machines have as much memory as the largest needs.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import minimal
from benchmarks.disks import held, steady
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
    """The sizes of the files that make up so many bytes."""
    return [min(largest, size - at) for at in range(0, size, largest)]


def grown_initramfs(plain: Path, size: int, path: Path) -> Path:
    """Write an initramfs with files of random bytes before what it had."""
    with path.open("wb") as file:
        for number, length in enumerate(pieces(size)):
            file.write(cpio.write([cpio.entry(f"unused.{number}", os.urandom(length))]))
        file.write(plain.read_bytes())
    return path


def grown_image(tree: Path, size: int, path: Path) -> Path:
    """Write an EROFS of the tree with files of random bytes beside it."""
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
    """Replace the image by a disk whose ext4 holds it as /image."""
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
    """The tree that the image was made of."""
    tree = machines.directory / "stage2"
    run(as_root(["fsck.erofs", f"--extract={tree}", str(machines.image())]))
    return tree


def machine(machines: Machines, variant: str, tree: Path, size: int) -> Options:
    """The machine of one point; its files replace those of the point before."""
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
        # this image is not the one that the mini-initramfs was made with
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
    """The time to the first systemd in seconds, for each variant and each size in MiB.

    jobs: how many boots at the same time.
    """
    tree = extracted(machines)
    found: Points = {name: {} for name in ATTEMPTS}
    for size in sizes:
        values: dict[str, list[float]] = {name: [] for name in ATTEMPTS}
        prepared = {name: machine(machines, name, tree, size << 20) for name in ATTEMPTS}
        with held(prepared.values()):
            for (name, _), metrics in beside.each(_once, list(prepared.items()) * runs, jobs):
                values[name].append(metrics[MARK])
        for name, seconds in values.items():
            found[name][str(size)] = figure(seconds)
            progress(f"{name}, {size} MiB more: {found[name][str(size)]['median']:.2f} s")
    return found
