# SPDX-License-Identifier: MIT
"""The machines of the tests detect panics and hangs, and keep disks unchanged."""

import os
import time
from pathlib import Path

import pytest

from harness import debian
from harness.machine import Drive, Options
from harness.mini import compiled
from harness.running import MachineFailure
from harness.tiny import Tiny

# The first test of a run also builds the guest.
pytestmark = [pytest.mark.timeout(900), pytest.mark.platforms("uml", "qemu")]

ROOT = "1f0e0000-0000-4000-8000-0000000071f0"
SLEEPER = """
#include <unistd.h>
int main(void) { for (;;) pause(); }
"""


def processes(directory: Path) -> list[str]:
    """Return the processes of a machine with this directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(directory) in words:
            found.append(path.parent.name)
    return found


def test_panic_is_detected(tiny: Tiny) -> None:
    """If the kernel panics because there is no init, boot() raises MachineFailure."""
    with pytest.raises(MachineFailure, match="kernel panic"):
        tiny.boot(tiny.mini.without("init"), [])


def test_hung_machine_is_killed(tiny: Tiny) -> None:
    """If a machine hangs until its deadline, it is killed, and no process or file of it remains."""
    sleeper = compiled(SLEEPER, tiny.directory / "sleeper").read_bytes()
    initrd = tiny.mini.without("init").with_program("init", sleeper).write(tiny.directory / "hang")
    platform = tiny.platform
    options = Options(
        kernel=platform.kernel,
        initrd=initrd,
        cmdline=f"console={platform.console}",
        memory=512,
        timeout=10,
    )
    with pytest.raises(MachineFailure, match="10 s are over"), platform.machine(options) as machine:
        machine.wait_console("Linux version ")
        assert processes(machine.directory)
        machine.wait_end()
    assert not machine.directory.exists()
    end = time.monotonic() + 10  # A killed process ends when it is scheduled next.
    while processes(machine.directory) and time.monotonic() < end:
        time.sleep(0.05)
    assert processes(machine.directory) == []


def test_guest_writes_are_discarded(tiny: Tiny) -> None:
    """If the guest writes to its root filesystem, the file of the disk stays unchanged."""
    greeting = tiny.directory / "greeting"
    greeting.write_bytes(tiny.greeting.read_bytes())
    greeting.chmod(0o755)
    disk = tiny.disk(uuid=ROOT, files={"greeting": greeting})
    before = debian.sha(disk)
    words = f"rd.initoverlayfs=direct root=UUID={ROOT} rw init=/greeting"
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk()), Drive(disk)], words)
    assert outcome.greeting["writable"] == ["yes"]
    assert debian.sha(disk) == before


@pytest.mark.platforms("uml")
@pytest.mark.parametrize("drive", [{"interface": "nvme"}, {"sector": 4096}, {"plugged": False}])
def test_unsupported_drive_is_refused(tiny: Tiny, drive: "dict[str, object]") -> None:
    """If user-mode Linux does not support a drive, boot() raises MachineFailure."""
    with pytest.raises(MachineFailure, match="no such drive"):
        tiny.boot(tiny.configured(), [Drive(tiny.disk(), **drive)])  # type: ignore[arg-type]
