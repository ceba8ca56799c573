# SPDX-License-Identifier: MIT
"""Lock a target against concurrent runs, and provide the working directory of a build."""

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

# Seconds to wait for killed processes to exit.
_KILL_TIMEOUT = 10.0


@contextlib.contextmanager
def locked(target: Target) -> Iterator[None]:
    """Lock a target within the context. Raises Failure if another run holds the lock.

    First kills the processes that a killed run has left. They are found by an open file: every
    process that a run starts inherits a descriptor of the file `children`.
    """
    directory = target.path(WORK)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(
                f"another initoverlayfs-install is running: it holds {directory / 'lock'}: try"
                " again when it has ended"
            ) from None
        children = (directory / "children").resolve()
        _kill_writers(children)
        with children.open("w") as file, target.inheriting(file.fileno()):
            yield


def _kill_writers(path: Path) -> None:
    """Kill all processes that have a file open for writing. Raises Failure after _KILL_TIMEOUT."""
    deadline = time.monotonic() + _KILL_TIMEOUT
    while writers := {process for process, link in _open_files() if _is_writer(link, path)}:
        for process in writers:
            with contextlib.suppress(ProcessLookupError):  # it has exited meanwhile
                _kill(process, deadline)


def _kill(process: int, deadline: float) -> None:
    """Kill a process and wait until it exits. Raises ProcessLookupError, Failure on a timeout."""
    descriptor = os.pidfd_open(process)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        remaining = max(deadline - time.monotonic(), 0)
        if not select.select([descriptor], [], [], remaining)[0]:
            raise Failure(
                f"process {process}, left by a killed initoverlayfs-install, does not exit after"
                " SIGKILL: reboot, or wait until it does"
            )
    finally:
        os.close(descriptor)


def _open_files() -> Iterator[tuple[int, str]]:
    """Yield (process, path of the link) for every open file of every process: proc(5)."""
    for process in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has exited
            for descriptor in os.listdir(f"/proc/{process}/fd"):
                yield int(process), f"/proc/{process}/fd/{descriptor}"


def _is_writer(link: str, path: Path) -> bool:
    """Return whether an open file is this one and open for writing; a backup only reads it.

    Compares the names first: stat(2) may block on a file that is on an unresponsive server. A file
    of the same name in a container differs by its inode.
    """
    try:
        is_same = os.readlink(link) == str(path) and os.path.samefile(link, path)
        return is_same and bool(os.lstat(link).st_mode & 0o200)
    except OSError:
        return False


@contextlib.contextmanager
def working_directory(target: Target) -> Iterator[str]:
    """Create an empty directory, yield its path inside the target, and remove it again.

    Its path is always the same, because dracut records its command line in its output.
    """
    path = target.path(WORK) / "work"
    shutil.rmtree(path, ignore_errors=True)  # left by a killed run
    path.mkdir(mode=0o700)
    try:
        yield f"{WORK}/work"
    finally:
        shutil.rmtree(path)
