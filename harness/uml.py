# SPDX-License-Identifier: MIT
"""Run a script in user-mode Linux, which boots in a second or two and has a driver of vfat.

Its root filesystem is that of this machine, read-only (hostfs), with this machine's programs. All
its mounts and processes end with it. Requires no privileges.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Optional

from harness import scratch

PROGRAM = "linux.uml"

# The program of PID 1. It runs the Python script, and then powers the machine off.
_INIT = """\
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH={pythonpath} LC_ALL=C.UTF-8 TMPDIR=/run
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir /run/out
mount -t hostfs -o {out} none /run/out
cd /usr/lib/uml/modules/$(uname -r)/kernel
for module in fs/nls/nls_cp437 fs/nls/nls_ascii fs/nls/nls_iso8859-1 fs/fat/fat fs/fat/vfat \\
    drivers/md/dm-mod drivers/md/dm-log-writes; do
    insmod $module.ko
done
cd /
{python} {script} /run/out
poweroff -f -f
"""


class UmlFailure(Exception):
    """The system timed out or left no result. The message ends with its console."""


@dataclass(frozen=True)
class Uml:
    """A system that runs a Python script as root, with disks /dev/ubda, /dev/ubdb, ..."""

    directory: Path
    script: Path
    python: str
    pythonpath: str

    def run(
        self, disks: Sequence[Path], task: dict[str, Any], timeout: float = 300
    ) -> list[dict[str, Any]]:
        """Run the script, whose argument is a directory with task.json.

        Returns the content of result.json, which the script writes there. Raises UmlFailure.
        """
        out = self.directory / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        (out / "task.json").write_text(json.dumps(task))
        init = self.directory / "init"
        init.write_text(
            _INIT.format(
                pythonpath=self.pythonpath,
                out=out,
                python=self.python,
                script=self.script,
            )
        )
        init.chmod(0o755)
        line = [PROGRAM, "mem=512M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"]
        line += [f"uml_dir={self.directory}/uml", "con=null", "con0=null,fd:1", "quiet"]
        line += [f"ubd{number}={disk}" for number, disk in enumerate(disks)]
        # The kernel's devtmpfs hides a directory of the host below /dev, so mount it again.
        here = self.directory
        show = f"mkdir -p {here} && mount -t hostfs -o {here} none {here} && exec {init}"
        line += ["init=/bin/sh", "--", "-c", f'"{show}"']
        console = self.directory / "console"
        with console.open("wb") as output:
            process = start(line, self.directory, output)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise UmlFailure(f"not ended after {timeout} s\n" + _tail(console)) from None
            finally:
                kill_group(process)
        try:
            found: list[dict[str, Any]] = json.loads((out / "result.json").read_text())
            return found
        except (OSError, ValueError):
            raise UmlFailure("no result\n" + _tail(console)) from None


def missing() -> Optional[str]:
    """Return a message if this machine lacks a required program, otherwise None."""
    if shutil.which(PROGRAM) is None:
        return f"no {PROGRAM} here, which the package user-mode-linux has"
    if shutil.which("dmsetup", path="/usr/sbin:/sbin") is None:
        return "no dmsetup here, which the package dmsetup has"
    return None


def start(
    line: Sequence[str],
    directory: Path,
    output: IO[bytes],
    fds: Sequence[int] = (),
    keyboard: int = subprocess.DEVNULL,
) -> "subprocess.Popen[bytes]":
    """Start user-mode Linux with a home directory and further file descriptors.

    The kernel has a process group of its own, which kill_group() kills with all of the kernel's
    threads. If this process ends, the kernel is killed too.
    """
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *line],
        stdin=keyboard,
        stdout=output,
        stderr=subprocess.STDOUT,
        pass_fds=fds,
        env={"PATH": os.environ["PATH"], "HOME": str(directory), "TMPDIR": scratch.home()},
        start_new_session=True,
    )


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill a user-mode Linux that start() has started, with all of its processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def _tail(console: Path) -> str:
    return "\n".join(console.read_text(errors="replace").splitlines()[-30:])
