# SPDX-License-Identifier: MIT
"""The lock of a target, and the processes and files that a killed run leaves."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from initoverlayfs.errors import Failure
from initoverlayfs.install import work
from initoverlayfs.target import Target

ROOT = Path(__file__).resolve().parent.parent.parent

# A run on the target in argv[1], whose command writes its process ID to the file started and never
# exits.
RUN = """
import sys
from pathlib import Path
from initoverlayfs.install import work
from initoverlayfs.target import Target
target = Target(Path(sys.argv[1]))
target.__class__.is_running_system = True
with work.locked(target), work.working_directory(target) as directory:
    started = f"{sys.argv[1]}{directory}/started"
    target.run(["sh", "-c", f"sh -c 'echo $$ >{started}.new; mv {started}.new {started}; "
                            f"while :; do sleep 0.1; date >{started}.date; done'; true"])
"""


def running(process: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        return "(zombie)" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_second_run_is_refused(tmp_path: Path) -> None:
    target = Target(tmp_path)
    reason = "another initoverlayfs-install is running: it holds .*/lock: try again"
    with work.locked(target), pytest.raises(Failure, match=reason):
        work.locked(target).__enter__()


@pytest.mark.parametrize("group", [False, True])
def test_processes_of_a_killed_run_are_killed(tmp_path: Path, group: bool) -> None:
    """A process that only reads the file `children` continues."""
    started = tmp_path / work.WORK.lstrip("/") / "work/started"
    line = [sys.executable, "-c", RUN, str(tmp_path)]
    run = subprocess.Popen(line, cwd=ROOT, start_new_session=True)
    while not started.exists():
        assert run.poll() is None
        time.sleep(0.01)
    (os.killpg if group else os.kill)(run.pid, signal.SIGKILL)
    run.wait()
    child = int(started.read_text())
    assert running(child)
    with (started.parent.parent / "children").open() as file:
        reader = subprocess.Popen(["sleep", "60"], stdin=file)
        target = Target(tmp_path)
        try:
            with work.locked(target), work.working_directory(target) as directory:
                assert list(target.path(directory).iterdir()) == []
                assert not running(child)
                assert reader.poll() is None
        finally:
            reader.kill()
            reader.wait()
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
