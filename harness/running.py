# SPDX-License-Identifier: MIT
"""Control a running machine of either kind: its console, its report, its end, its deadline."""

import abc
import enum
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Callable, Optional, TypeVar

from harness.machine import Options

Self = TypeVar("Self", bound="Running")

PANIC = "Kernel panic"
POLL = 0.05


class MachineFailure(Exception):
    """A machine failed or timed out. The message ends with the last lines of its console."""


class Ending(enum.Enum):
    """The ways in which a machine ends."""

    POWEROFF = "powered off"
    RESET = "reset"
    PANIC = "kernel panic"


class Running(abc.ABC):
    """A machine that runs while its context is active, for at most options.timeout seconds.

    directory/console contains the console's output, directory/report the output of /dev/ttyS1.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        # The path of a Unix socket must be shorter than 108 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="ivm-"))
        self._deadline = 0.0

    def __enter__(self: Self) -> Self:
        self._deadline = time.monotonic() + self.options.timeout
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abc.abstractmethod
    def _start(self) -> None:
        """Start the emulator. Raises MachineFailure."""

    @abc.abstractmethod
    def _stop(self) -> None:
        """End the emulator if it still runs."""

    @abc.abstractmethod
    def _ending(self) -> Optional[Ending]:
        """Return how the machine ended, None while it runs.

        Raises MachineFailure if the emulator ended for another reason.
        """

    @abc.abstractmethod
    def type(self, text: str) -> None:
        """Send text to the console of a machine with a keyboard."""

    def plug(self, number: int) -> None:
        """Plug in the drive of this number, whose `plugged` was false."""
        raise self._failure("drives cannot be plugged in here")

    def pull(self, name: str) -> None:
        """Pull out the drive of this name, and wait until the machine has released it."""
        raise self._failure("drives cannot be pulled out here")

    @property
    def console(self) -> str:
        """Return the output of the console so far."""
        return self._read("console")

    @property
    def report(self) -> str:
        """Return the output of the second serial port so far."""
        return self._read("report")

    def _read(self, name: str) -> str:
        path = self.directory / name
        text = path.read_bytes().decode(errors="replace") if path.exists() else ""
        # Remove terminal control sequences and carriage returns.
        return re.sub(r"\x1b(\[[0-9;?!]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\))|\r", "", text)

    def wait_console(self, pattern: str, timeout: float = 60) -> "re.Match[str]":
        """Wait until the console matches, at most timeout seconds. Raises MachineFailure."""
        end = time.monotonic() + timeout
        while True:
            over = self._ending()
            match = re.search(pattern, self.console, re.MULTILINE)
            if match:
                return match
            if over or time.monotonic() > end:
                raise self._failure(f"console never matched {pattern!r}")
            self._check(f"console to match {pattern!r}")
            time.sleep(POLL)

    def wait_quiet(self, seconds: float) -> None:
        """Wait until the console has not changed for `seconds` of wall-clock time."""
        console, since = self.console, time.monotonic()
        while time.monotonic() < since + seconds:
            self._check("a quiet console")
            time.sleep(POLL)
            if self.console != console:
                console, since = self.console, time.monotonic()

    def wait_end(self, watch: Callable[[str], None] = lambda console: None) -> Ending:
        """Wait until the machine ends by itself, and return how it ended.

        Calls watch() with the console's output meanwhile. Raises MachineFailure at the deadline.
        """
        while True:
            ending = self._ending()
            console = self.console
            watch(console)
            if PANIC in console:
                return Ending.PANIC
            if ending:
                return ending
            self._check("its end")
            time.sleep(POLL)

    def _check(self, what: str) -> None:
        """Raise MachineFailure if the deadline has passed."""
        if time.monotonic() > self._deadline:
            raise self._failure(f"{self.options.timeout:.0f} s are over, waited for {what}")

    def _failure(self, what: str) -> MachineFailure:
        return MachineFailure(f"machine: {what}\n{self.tail()}")

    def tail(self, lines: int = 60) -> str:
        """Return the console's last lines, framed."""
        text = "\n".join(self.console.rstrip().splitlines()[-lines:])
        return f"--- console, last {lines} lines\n{text}\n--- end of console"

    def close(self) -> None:
        """End the machine if it still runs, and delete its directory."""
        self._stop()
        shutil.rmtree(self.directory, ignore_errors=True)
