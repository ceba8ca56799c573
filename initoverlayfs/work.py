# SPDX-License-Identifier: MIT
"""The place in a target where images are built, for one run at a time."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator

from initoverlayfs.errors import Failure
from initoverlayfs.target import Target

WORK = "/var/cache/initoverlayfs"


@contextlib.contextmanager
def locked(target: Target) -> Iterator[None]:
    """Raises Failure where another one is at work on the target."""
    above = target.path(WORK)
    above.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (above / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"another initoverlayfs-install is at work in {above}") from None
        yield


@contextlib.contextmanager
def working_directory(target: Target) -> Iterator[str]:
    """A directory for what is being built: its path inside the target. It is removed again.

    Always the same one, because dracut records its command line in what it makes.
    """
    path = target.path(WORK) / "work"
    shutil.rmtree(path, ignore_errors=True)  # left by a run that was killed
    path.mkdir(mode=0o700)
    try:
        yield f"{WORK}/work"
    finally:
        shutil.rmtree(path)
