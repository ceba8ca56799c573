# SPDX-License-Identifier: MIT
"""The place in a target where images are built, for one run at a time."""

import contextlib
import fcntl
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from initoverlayfs.errors import Failure
from initoverlayfs.target import Target

WORK = "/var/cache/initoverlayfs"

# For killed processes to be gone, in seconds.
_PATIENCE = 10.0


@contextlib.contextmanager
def locked(target: Target) -> Iterator[None]:
    """Raises Failure where another one is at work on the target.

    What a run that was killed has started goes on without it, and is killed here: everything that a
    run starts has the file `children` open.
    """
    above = target.path(WORK)
    above.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (above / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"another initoverlayfs-install is at work in {above}") from None
        children = (above / "children").resolve()
        end(children)
        with children.open("w") as file, target.handing_down(file.fileno()):
            yield


def end(path: Path) -> None:
    """Kill all processes that have this file open for writing; Failure where one does not end."""
    deadline = time.monotonic() + _PATIENCE
    while found := {process for process, link in _open_files() if _writes(link, path)}:
        for process in found:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                _kill(process, deadline)


def _kill(process: int, deadline: float) -> None:
    """Kill it and wait for its end. Raises ProcessLookupError, or Failure at the deadline."""
    descriptor = os.pidfd_open(process)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        left = max(deadline - time.monotonic(), 0)
        if not select.select([descriptor], [], [], left)[0]:
            raise Failure(f"process {process}, which a killed run has started, does not end")
    finally:
        os.close(descriptor)


def _open_files() -> Iterator[tuple[int, str]]:
    """Processes and links to what they have open: proc(5)."""
    for process in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has ended
            for descriptor in os.listdir(f"/proc/{process}/fd"):
                yield int(process), f"/proc/{process}/fd/{descriptor}"


def _writes(link: str, path: Path) -> bool:
    """Whether it is this file, and open for writing: who reads it, a backup, is none of ours.

    By its name first, since others may not answer; a container's own has the same one.
    """
    try:
        ours = os.readlink(link) == str(path) and os.path.samefile(link, path)
        return ours and bool(os.lstat(link).st_mode & 0o200)
    except OSError:
        return False


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
