# SPDX-License-Identifier: MIT
"""Commands on the running system, and their failures."""

import os
import threading
import time
from pathlib import Path

import pytest

from initoverlayfs.errors import Failure
from initoverlayfs.target import Target

SYSTEM = Target(Path("/"))


def test_umask_of_the_caller_does_not_matter(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        SYSTEM.run(["touch", str(tmp_path / "made")])
    finally:
        os.umask(before)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o644


def test_failure_has_the_status_and_the_last_line() -> None:
    script = "echo first >&2; echo reason >&2; exit 3"
    with pytest.raises(Failure) as failure:
        SYSTEM.run(["sh", "-c", script])
    assert (
        str(failure.value) == "sh failed with exit status 3: reason; add -v to see its full output"
    )


def test_stop_ends_running_commands_and_refuses_new_ones() -> None:
    target = Target(Path("/"))
    failures = []

    def run() -> None:
        try:
            target.run(["sleep", "60"])
        except Failure as failure:
            failures.append(str(failure))

    thread = threading.Thread(target=run)
    thread.start()
    while not target._running:
        time.sleep(0.01)
    target.stop()
    thread.join(10)
    assert failures == ["sleep failed with exit status -15; add -v to see its full output"]
    with pytest.raises(Failure, match="^true: not started because another command has failed$"):
        target.run(["true"])
