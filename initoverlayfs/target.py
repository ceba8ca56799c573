# SPDX-License-Identifier: MIT
"""The system that the images are built for: the running one, or a directory tree (--root)."""

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

from initoverlayfs.errors import Failure

# sh -ec SCRIPT sh TREE COMMAND...: run the command in the tree. It runs in a mount namespace of its
# own, so its mounts disappear when it ends.
_ENTER = """
tree=$1; shift
mount --rbind /dev "$tree/dev"
mount --rbind /sys "$tree/sys"
mount --rbind /proc "$tree/proc"
mount -t tmpfs -o mode=755 tmpfs "$tree/run"
exec chroot "$tree" "$@"
"""

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# DRACUT_NO_MKNOD: dracut cannot create device nodes in a container. The images do not need them:
# devtmpfs provides them, and /dev/console is in the kernel's built-in initramfs. Without device
# nodes an image is the same wherever it is built.
#
# NO_POST_UPDATE_HOOKS: dracut's output is not published yet, so no boot loader must be updated.
#
# SOURCE_DATE_EPOCH: systemd-sysusers, which dracut runs, writes the date of an account's last
# password change into /etc/shadow. This sets it to 2 January 1970, since day 0 has a meaning of
# its own (shadow(5)).
#
# LVM_SUPPRESS_FD_WARNINGS: LVM's tools would report the descriptor inherited from work.locked().
_ENVIRONMENT = {
    "PATH": _PATH,
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
    "DRACUT_NO_MKNOD": "1",
    "NO_POST_UPDATE_HOOKS": "1",
    "SOURCE_DATE_EPOCH": "86400",
    "LVM_SUPPRESS_FD_WARNINGS": "1",
}


class Target:
    """A root directory, and commands that run in it. verbose: show their output."""

    def __init__(self, root: Path, verbose: bool = False) -> None:
        self.root = root.resolve()
        self._verbose = verbose
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False
        self._lock = threading.Lock()
        self._inherited: tuple[int, ...] = ()

    @property
    def is_running_system(self) -> bool:
        """Return whether the target is the system that this program runs on."""
        return self.root == Path("/")

    def path(self, name: str) -> Path:
        """Return the path on this system of an absolute path in the target.

        Does not resolve symbolic links: an absolute one leads out of the target.
        """
        return self.root / name.lstrip("/")

    def has_command(self, command: str) -> bool:
        """Return whether the target has a program of this name."""
        return self.find_command(command) is not None

    def find_command(self, command: str) -> Optional[Path]:
        """Return the path on this system of a program of the target, or None."""
        directories = [str(self.path(directory)) for directory in _PATH.split(":")]
        found = shutil.which(command, path=":".join(directories))
        return Path(found) if found else None

    @contextlib.contextmanager
    def inheriting(self, descriptor: int) -> Iterator[None]:
        """Let every command that starts within this context inherit a file descriptor."""
        self._inherited = (descriptor,)
        try:
            yield
        finally:
            self._inherited = ()

    def run(self, argv: Sequence[str]) -> str:
        """Run a command in the target and return its standard output.

        Raises Failure with the command's exit status and the last line of its output.
        """
        line = list(argv)
        if not self.is_running_system:
            line = ["unshare", "--mount", "--", "sh", "-ec", _ENTER, "sh", str(self.root), *line]
        with self._lock:
            if self._stopped:
                raise Failure(f"{argv[0]}: not started because another command has failed")
            process = subprocess.Popen(
                line,
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=None if self._verbose else subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
                pass_fds=self._inherited,
                umask=0o022,  # not the caller's: file modes end up in the images
            )
            self._running.add(process)
        try:
            output, messages = process.communicate()
        finally:
            self._running.discard(process)
        if process.returncode != 0:
            lines = [text for text in (messages or "").splitlines() + output.splitlines() if text]
            reason = f": {lines[-1].strip()}" if lines else ""
            hint = "" if self._verbose else "; add -v to see its full output"
            raise Failure(f"{argv[0]} failed with exit status {process.returncode}{reason}{hint}")
        return output

    def stop(self) -> None:
        """Terminate the running commands, and let run() raise Failure from now on."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                # The process group: dracut is a script, with children of its own.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, 15)
