# SPDX-License-Identifier: MIT
"""The system the images are for: this one, or a tree of files (--root)."""

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

from initoverlayfs.errors import Failure

# sh -ec SCRIPT sh TREE COMMAND...: in a mount namespace of its own, so nothing stays mounted.
_ENTER = """
tree=$1; shift
mount --rbind /dev "$tree/dev"
mount --rbind /sys "$tree/sys"
mount --rbind /proc "$tree/proc"
mount -t tmpfs -o mode=755 tmpfs "$tree/run"
exec chroot "$tree" "$@"
"""

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# In a container dracut cannot make device nodes; nobody needs them: there is devtmpfs, and the
# kernel brings its own /dev/console. Without them, an image is the same wherever it is built.
#
# What dracut makes for us is no initramfs yet that a bootloader has to know (NO_POST_UPDATE_HOOKS).
#
# systemd-sysusers, which dracut runs, writes the day on which an account was made into /etc/shadow:
# SOURCE_DATE_EPOCH makes that the first of 1970, day 0 having a meaning of its own (shadow(5)).
_ENVIRONMENT = {
    "PATH": _PATH,
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
    "DRACUT_NO_MKNOD": "1",
    "NO_POST_UPDATE_HOOKS": "1",
    "SOURCE_DATE_EPOCH": "86400",
    "LVM_SUPPRESS_FD_WARNINGS": "1",  # of the file that work.locked hands down
}


class Target:
    """A root directory, and commands run in it. With verbose, their output is shown."""

    def __init__(self, root: Path, verbose: bool = False) -> None:
        self.root = root.resolve()
        self._verbose = verbose
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False
        self._lock = threading.Lock()
        self._handed_down: tuple[int, ...] = ()

    @property
    def is_running_system(self) -> bool:
        """Whether it is the system that this program runs on."""
        return self.root == Path("/")

    def path(self, name: str) -> Path:
        """The path here of an absolute path there. Symbolic links in it are the caller's risk."""
        return self.root / name.lstrip("/")

    def has(self, command: str) -> bool:
        """Whether it has a program of this name."""
        return self.program(command) is not None

    def program(self, command: str) -> Optional[Path]:
        """The path here of a program of this name."""
        directories = [str(self.path(directory)) for directory in _PATH.split(":")]
        found = shutil.which(command, path=":".join(directories))
        return Path(found) if found else None

    @contextlib.contextmanager
    def handing_down(self, descriptor: int) -> Iterator[None]:
        """Every command that starts within has this file open."""
        self._handed_down = (descriptor,)
        try:
            yield
        finally:
            self._handed_down = ()

    def run(self, argv: Sequence[str]) -> str:
        """Run a command in it and return what it writes to standard output.

        Raises Failure with the last line of its messages.
        """
        line = list(argv)
        if not self.is_running_system:
            line = ["unshare", "--mount", "--", "sh", "-ec", _ENTER, "sh", str(self.root), *line]
        with self._lock:
            if self._stopped:
                raise Failure(f"{argv[0]}: not started, since another step has failed")
            process = subprocess.Popen(
                line,
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=None if self._verbose else subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
                pass_fds=self._handed_down,
                umask=0o022,  # whatever root's is: modes of what is made go into the images
            )
            self._running.add(process)
        try:
            output, messages = process.communicate()
        finally:
            self._running.discard(process)
        if process.returncode != 0:
            said = [text for text in (messages or "").splitlines() + output.splitlines() if text]
            what = f": {said[-1].strip()}" if said else ""
            hint = "" if self._verbose else "; -v shows all it says"
            raise Failure(f"{argv[0]} failed (status {process.returncode}){what}{hint}")
        return output

    def stop(self) -> None:
        """End the commands that still run, and let none start any more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                # Its process group: dracut is a script, with children of its own.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, 15)
