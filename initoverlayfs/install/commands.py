# SPDX-License-Identifier: MIT
"""What initoverlayfs-install does on request: install a pair, or go back to the previous one."""

import concurrent.futures
import contextlib
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from initoverlayfs.build import dracut, initramfs, signature
from initoverlayfs.errors import Failure
from initoverlayfs.install import conf, pairs, publish
from initoverlayfs.install.places import Places
from initoverlayfs.install.places import find as find_places
from initoverlayfs.install.report import Progress, Row, table
from initoverlayfs.install.work import locked, working_directory
from initoverlayfs.machine import bootfs, kernels, reachable
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target
from storage_init.config.settings import CONFIGURATION


def _warn(text: str) -> None:
    print(f"initoverlayfs-install: warning: {text}", file=sys.stderr)


def install(target: Target, chosen: Namespace) -> None:
    """Do what the options say. Raises Failure or OSError, and then has changed nothing."""
    dracut.require(target)
    release = kernels.choose(target, chosen.kver)
    boot = bootfs.find(target)
    drivers = reachable.require(target, release, boot)
    configuration = configured(target, boot, kept_choices(chosen))
    with locked(target), configuration as settings, Progress(lines=chosen.verbose) as progress:
        dracut.require_builders(target, settings)
        if dracut.wants_hash_tree(settings):
            dracut.require_veritysetup(target)
        signature.require(target, release, settings, dracut.wants_hash_tree(settings))
        places = find_places(target, release, boot, settings)
        require_force(places, chosen.force)
        require_place(places)
        dracut.require_runtime(target, settings.initoverlayfs_init, settings.runtime)
        progress.step(f"building the images for Linux {release}")
        with working_directory(target) as work:
            job = dracut.Job(target, release, work, settings, drivers)
            built = build_both(job)
            dracut.bind(job, *built)
            progress.step(f"writing them to {places.initramfs.parent}")
            lines = publish_both(places, *built)
    print(lines)
    print(f"From the next boot on, Linux {release} starts from these.", end="")
    print(f" The initramfs it had is kept: {places.kept.name}" if places.kept.exists() else "")
    if places.previous_initramfs.exists():
        print("The pair before is kept too: initoverlayfs-install --rollback goes back to it.")


def installed(
    target: Target, chosen: Namespace
) -> tuple[str, bootfs.BootFilesystem, InstallSettings, Places]:
    """What the options mean, without anything to build: release, settings and places."""
    release = kernels.choose(target, chosen.kver)
    boot = bootfs.find(target)
    settings = conf.read(target.path(CONFIGURATION), _warn)
    return release, boot, settings, find_places(target, release, boot, settings)


def rollback(target: Target, chosen: Namespace) -> None:
    """Go back to the previous pair. Raises Failure, and then has changed nothing."""
    release, _, _, places = installed(target, chosen)
    for path in (places.initramfs, places.image):
        publish.require_writable(path.parent)
    with locked(target):
        pairs.rollback(places)
    bound = pairs.read(places.initramfs)
    print(f"From the next boot on, Linux {release} starts from image", bound.uuid if bound else "?")


def kept_choices(chosen: Namespace) -> dict[str, str]:
    """What the options say and the configuration keeps, by its keys."""
    options = (
        ("initoverlayfs_init", chosen.mode),
        ("runtime", chosen.runtime),
        ("hostonly", chosen.hostonly),
        ("hash_tree", "yes" if chosen.verity_key else chosen.verity),
        ("verity_key", chosen.verity_key and os.path.abspath(chosen.verity_key)),
        ("verity_cert", chosen.verity_cert and os.path.abspath(chosen.verity_cert)),
    )
    return {key: value for key, value in options if value}


@contextlib.contextmanager
def configured(
    target: Target, boot: bootfs.BootFilesystem, choices: dict[str, str]
) -> Iterator[InstallSettings]:
    """The settings; the file is written if it says other, and put back if anything fails."""
    path = target.path(CONFIGURATION)
    before = path.read_bytes() if path.exists() else None
    written = conf.complete(path, boot, choices)
    try:
        settings = conf.read(path, _warn)
        if not bootfs.same(target, settings.bootfs, boot):
            _warn(f"{path} says bootfs {settings.bootfs}, but /boot is on {boot.reference}")
        yield settings
    except BaseException:
        if written and before is None:
            path.unlink()
        elif written and before is not None:
            path.write_bytes(before)
        raise


def require_place(places: Places) -> None:
    """Raises Failure where the images cannot go, or surely do not fit, judging by what is there.

    What is built is measured again when it is there. Removes what a dead run left.
    """
    for path in (places.initramfs, places.image):
        publish.require_writable(path.parent)
    with publish.failures(places.initramfs.parent):
        pairs.settle(places)
        sizes = [path.stat().st_size for path in (places.initramfs, places.image) if path.exists()]
        if len(sizes) == 2:
            pairs.require_space(places, *sizes)
        elif places.initramfs.exists():
            pairs.require_space(places, 0, sizes[0])  # an image is larger than a plain initramfs


def require_force(places: Places, force: bool) -> None:
    """Raises Failure where a file would be replaced without -f."""
    for path in (places.initramfs, places.image):
        if path.exists() and not force:
            raise Failure(f"{path} is there already: -f replaces it")


def build_both(job: dracut.Job) -> tuple[Path, Path]:
    """The mini-initramfs and the image, built side by side."""
    dracut.require_compressor(job)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        started = [pool.submit(dracut.mini, job), pool.submit(dracut.image, job)]
        try:
            for future in concurrent.futures.as_completed(started):
                future.result()
        except BaseException:
            job.target.stop()
            raise
    return started[0].result(), started[1].result()


def publish_both(places: Places, mini: Path, image: Path) -> str:
    """Publish what was built, and return the table of sizes."""
    plain = places.initramfs
    if not plain.exists() or pairs.read(plain) or initramfs.is_mini(plain):
        plain = places.kept
    before = plain.stat().st_size if plain.exists() else None
    old = places.image.stat().st_size if places.image.exists() else None
    sizes = mini.stat().st_size, image.stat().st_size
    python = dracut.cpython_size(mini)
    pairs.install(places, mini, image)
    rows: list[Row] = [
        (places.initramfs.name, before, sizes[0], "loaded and unpacked in full at boot"),
        (places.image.name, old, sizes[1], "read as far as it is used"),
    ]
    if python:
        rows.insert(1, ("  of it, CPython", None, python, "unpacked"))
    return table(rows)
