# SPDX-License-Identifier: MIT
"""Run a machine in user-mode Linux, which boots a mini-initramfs in a second or two.

Its disks are /dev/ubda, /dev/ubdb, ... It has one processor, no bus, no firmware and no hotplug.
"""

import os
import re
import subprocess
from typing import Optional

from harness import uml
from harness.machine import Drive, Options
from harness.running import PANIC, Ending, Running

_RESTART = "reboot: Restarting system"
# A kernel without ACPI turns a power-off into a halt, and either ends the process.
_HALTED = re.compile("reboot: (System halted|Power down)")


class UserMode(Running):
    """A machine in user-mode Linux. options.kernel is the program."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._process: Optional[subprocess.Popen[bytes]] = None

    def _start(self) -> None:
        line = [*self._hardware(), "rdinit=/init", f"uml_dir={self.directory}"]
        # User-mode Linux adds its own root= and console= unless an argument starts with them. An
        # empty root= names no root. The command line with its quotes is a single argument.
        if not self.options.cmdline.startswith("console="):
            raise self._failure("user-mode Linux has a console whatever the command line says")
        line += ["root=", "printk.time=1", self.options.cmdline]
        names = (self.directory / name for name in ("console", "report"))
        with next(names).open("wb") as console, next(names).open("wb") as report:
            ports = ["con=null", "con0=" + ("fd:0" if self.options.keyboard else "null") + ",fd:1"]
            ports += ["ssl=null", f"ssl1=null,fd:{report.fileno()}"]
            self._process = uml.start(
                [str(self.options.kernel), *ports, *line],
                self.directory,
                console,
                (report.fileno(),),
                subprocess.PIPE if self.options.keyboard else subprocess.DEVNULL,
            )

    def _hardware(self) -> list[str]:
        """Return the words for memory, initramfs and disks. Raises MachineFailure."""
        options = self.options
        if options.extra or options.icount:
            raise self._failure("user-mode Linux has neither QEMU's devices nor virtual time")
        line = [f"mem={options.memory}M", f"initrd={options.initrd}"]
        for number, drive in enumerate(options.drives):
            if drive != Drive(drive.path, snapshot=drive.snapshot):
                raise self._failure(f"user-mode Linux has no such drive: {drive}")
            cow = f"{self.directory}/cow{number}," if drive.snapshot else ""
            line.append(f"ubd{number}={cow}{drive.path}")
        return line

    def _read(self, name: str) -> str:
        # After a restart, user-mode Linux boots again. Ignore the output of that boot.
        text, restart, _ = super()._read(name).partition(_RESTART)
        return text + restart

    def _ending(self) -> Optional[Ending]:
        assert self._process is not None
        ended = self._process.poll() is not None
        console = self.console
        if _RESTART in console:
            return Ending.RESET
        if not ended:
            return None
        if PANIC in console:
            return Ending.PANIC
        if not _HALTED.search(console):
            raise self._failure(f"user-mode Linux ended, status {self._process.returncode}")
        return Ending.POWEROFF

    def type(self, text: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        os.write(self._process.stdin.fileno(), text.encode())

    def _stop(self) -> None:
        if self._process is not None:
            uml.kill_group(self._process)
            if self._process.stdin is not None:
                self._process.stdin.close()
