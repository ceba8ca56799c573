# SPDX-License-Identifier: MIT
"""Run the actions that exchange pairs: install a new one, roll back to the previous one."""

from argparse import Namespace
from pathlib import Path
from typing import NamedTuple, Optional

from initoverlayfs.build import initramfs, mini, pair, requirements
from initoverlayfs.build.job import Job
from initoverlayfs.install import conf, options, pairs, preflight, publish
from initoverlayfs.install.places import Places
from initoverlayfs.install.places import find as find_places
from initoverlayfs.install.report import Progress, Row, table, warn
from initoverlayfs.install.work import locked, working_directory
from initoverlayfs.machine import bootfs, kernels, reachable
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target
from storage_init.config.settings import CONFIGURATION


class Installation(NamedTuple):
    """A kernel's settings and the paths of its pairs, which need not exist."""

    release: str
    boot: bootfs.BootFilesystem
    settings: InstallSettings
    places: Places


def install(target: Target, chosen: Namespace) -> None:
    """Build a pair with the options' settings, publish it, and print the sizes.

    Raises Failure or OSError. initoverlayfs.conf is unchanged then; the current pair is too, if the
    error occurred before the commit point (see pairs).
    """
    requirements.require_tools(target)
    release = kernels.choose(target, chosen.kver)
    boot = bootfs.find(target)
    drivers = reachable.require(target, release, boot)
    configuration = conf.updated(target, boot, options.settings(chosen))
    with locked(target), configuration as settings, Progress(lines=chosen.verbose) as progress:
        places = preflight.check(target, release, boot, settings, chosen.force)
        progress.step(f"building the mini-initramfs and the image for Linux {release}")
        with working_directory(target) as work:
            built = pair.build(Job(target, release, work, settings, drivers))
            progress.step(f"writing both to {places.initramfs.parent}")
            rows = _publish(places, *built)
    print(table(rows))
    print(_next_boot(release, places))


def _publish(places: Places, mini_path: Path, image_path: Path) -> list[Row]:
    """Publish a pair; return the rows of the table of sizes."""
    plain = places.initramfs
    if not plain.exists() or pairs.read_binding(plain) or initramfs.is_mini(plain):
        plain = places.plain_initramfs
    plain_size = plain.stat().st_size if plain.exists() else None
    old_size = places.image.stat().st_size if places.image.exists() else None
    mini_size, image_size = mini_path.stat().st_size, image_path.stat().st_size
    cpython_size = mini.cpython_size(mini_path)
    pairs.install(places, mini_path, image_path)
    rows: list[Row] = [
        (places.initramfs.name, plain_size, mini_size, "loaded and unpacked in full at boot"),
        (places.image.name, old_size, image_size, "read on demand"),
    ]
    if cpython_size:
        rows.insert(1, ("  CPython in it", None, cpython_size, "unpacked"))
    return rows


def _next_boot(release: str, places: Places) -> str:
    text = f"Linux {release} uses this pair from the next boot on."
    if places.plain_initramfs.exists():
        text += f" Its plain initramfs is kept as {places.plain_initramfs.name}."
    if places.previous_initramfs.exists():
        text += "\nThe previous pair is kept: initoverlayfs-install --rollback restores it."
    return text


def find_installation(target: Target, kver: Optional[str]) -> Installation:
    """Return the settings and paths of a kernel: kver, else the running one. Raises Failure."""
    release = kernels.choose(target, kver)
    boot = bootfs.find(target)
    settings = conf.read(target.path(CONFIGURATION), warn)
    return Installation(release, boot, settings, find_places(target, release, boot, settings))


def rollback(target: Target, kver: Optional[str]) -> None:
    """Exchange the current and the previous pair. Raises Failure, and then has changed nothing."""
    installation = find_installation(target, kver)
    places = installation.places
    for path in (places.initramfs, places.image):
        publish.require_writable(path.parent)
    with locked(target):
        pairs.rollback(places)
    binding = pairs.read_binding(places.initramfs)
    image_id = binding.uuid if binding else "?"
    print(f"Linux {installation.release} boots image {image_id} from the next boot on.")
