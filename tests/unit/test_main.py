# SPDX-License-Identifier: MIT
from support import make, raises

from storage_init import command_line, main
from storage_init.boot import pid1
from storage_init.kernel import compat


def test_pid_1_boots_and_other_processes_run_commands():
    for pid, runs in ((1, "pid1"), (7, "command_line")):
        fake, _, _, _ = make({}, pid=pid)
        kept = compat.syscalls, pid1.run, command_line.run
        started = []

        def boot(kernel, arguments, started=started):
            started.append(("pid1", arguments))
            raise SystemExit(0)  # it never returns

        def command(kernel, arguments, started=started):
            started.append(("command_line", arguments))
            raise SystemExit(0)

        compat.syscalls, pid1.run, command_line.run = fake, boot, command
        try:
            raises(SystemExit, main.main, ["a", "b"])
        finally:
            compat.syscalls, pid1.run, command_line.run = kept
        assert started == [(runs, ["a", "b"])]
