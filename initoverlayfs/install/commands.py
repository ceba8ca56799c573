# SPDX-License-Identifier: MIT
"""initoverlayfs-install: build both images and put them on the boot filesystem."""

import concurrent.futures
import contextlib
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Optional

from initoverlayfs import (
    bootfs,
    build,
    check,
    conf,
    initramfs,
    kernels,
    options,
    pairs,
    publish,
    reachable,
    signature,
)
from initoverlayfs.errors import Failure
from initoverlayfs.places import Places
from initoverlayfs.places import find as find_places
from initoverlayfs.remove import remove
from initoverlayfs.report import Progress, Row, table
from initoverlayfs.target import Target
from initoverlayfs.work import locked, working_directory
from storage_init.settings import CONFIGURATION, Settings
from storage_init.values import ITSELF


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The program, with its own arguments or these. Returns its exit status; wrong usage exits."""
    chosen = options.parse(sys.argv[1:] if arguments is None else arguments)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        target = targeted(chosen)
        if chosen.if_configured and not _configured(target, chosen.remove):
            return 0
        if chosen.remove:
            print(remove(target, chosen.kver))
        elif chosen.verify:
            return verify(target, chosen)
        elif chosen.rollback:
            rollback(target, chosen)
        else:
            install(target, chosen)
    except Failure as failure:
        return _say(str(failure), 1)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except OSError as error:
        return _say(f"{error.filename or 'system call'}: {error.strerror}", 1)
    finally:
        signal.signal(signal.SIGTERM, previous)
    return 0


def _interrupt(number: int, frame: Optional[FrameType]) -> None:
    raise KeyboardInterrupt


def _say(text: str, status: int) -> int:
    print(f"initoverlayfs-install: {text}", file=sys.stderr)
    return status


def _warn(text: str) -> None:
    print(f"initoverlayfs-install: warning: {text}", file=sys.stderr)


def targeted(chosen: Namespace) -> Target:
    """The system that the options name. Raises Failure where there is nothing to be done in it."""
    if os.geteuid() != 0:
        raise Failure("only root can build images and write to /boot: run it with sudo")
    if not chosen.root.is_dir():
        raise Failure(f"--root {chosen.root}: no such directory")
    return Target(chosen.root, chosen.verbose)


def _configured(target: Target, remove: bool) -> bool:
    """Whether a hook has something to do: where not, a kernel's package must not fail of it."""
    settings = conf.read(target.path(CONFIGURATION))
    if settings.bootfs and settings.fs == ITSELF and not remove:
        _say(f"nothing done: {CONFIGURATION} says `fs -`, the image itself is a partition", 0)
        return False
    return settings.bootfs != ""


def install(target: Target, chosen: Namespace) -> None:
    """Do what the options say. Raises Failure or OSError, and then has changed nothing."""
    build.require(target)
    release = kernels.choose(target, chosen.kver)
    boot = bootfs.find(target)
    drivers = reachable.require(target, release, boot)
    configuration = configured(target, boot, kept_choices(chosen))
    with locked(target), configuration as settings, Progress(lines=chosen.verbose) as progress:
        build.require_builders(target, settings)
        if build.wants_hash_tree(settings):
            build.require_veritysetup(target)
        signature.require(target, release, settings, build.wants_hash_tree(settings))
        places = find_places(target, release, boot, settings)
        require_force(places, chosen.force)
        require_place(places)
        build.require_runtime(target, settings.initoverlayfs_init, settings.runtime)
        progress.step(f"building the images for Linux {release}")
        with working_directory(target) as work:
            job = build.Job(target, release, work, settings, drivers)
            built = build_both(job)
            build.bind(job, *built)
            progress.step(f"writing them to {places.initramfs.parent}")
            lines = publish_both(places, *built)
    print(lines)
    print(f"From the next boot on, Linux {release} starts from these.", end="")
    print(f" The initramfs it had is kept: {places.kept.name}" if places.kept.exists() else "")
    if places.previous_initramfs.exists():
        print("The pair before is kept too: initoverlayfs-install --rollback goes back to it.")


def installed(
    target: Target, chosen: Namespace
) -> tuple[str, bootfs.BootFilesystem, Settings, Places]:
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


def verify(target: Target, chosen: Namespace) -> int:
    """Print what is right and wrong with what is installed; the exit status."""
    items = check.check(target, *installed(target, chosen))
    print("\n".join(map(str, items)))
    return 1 if any(item.verdict == check.WRONG for item in items) else 0


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
) -> Iterator[Settings]:
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


def build_both(job: build.Job) -> tuple[Path, Path]:
    """The mini-initramfs and the image, built side by side."""
    build.require_compressor(job)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        started = [pool.submit(build.mini, job), pool.submit(build.image, job)]
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
    python = build.cpython_size(mini)
    pairs.install(places, mini, image)
    rows: list[Row] = [
        (places.initramfs.name, before, sizes[0], "loaded and unpacked in full at boot"),
        (places.image.name, old, sizes[1], "read as far as it is used"),
    ]
    if python:
        rows.insert(1, ("  of it, CPython", None, python, "unpacked"))
    return table(rows)
