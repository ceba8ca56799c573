# SPDX-License-Identifier: MIT
"""One virtual machine: QEMU, its serial console in a file, QMP for events and hotplug."""

import asyncio
import contextlib
import enum
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

from qemu.qmp import ConnectError, EventListener, QMPClient, QMPError

from harness.machine import Options, command_line

T = TypeVar("T")

PANIC = "Kernel panic"
_POLL = 0.05


class MachineFailure(Exception):
    """The machine did not do what was waited for; the message ends with its console."""


class Ending(enum.Enum):
    """How a machine came to its end."""

    POWEROFF = "powered off"
    RESET = "reset"
    PANIC = "kernel panic"


def _copy(connection: socket.socket, path: Path) -> None:
    """Write what comes to a file, until the connection ends."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while data := connection.recv(65536):
            file.write(data)


class VM:
    """A machine that runs from entering the context to leaving it, at most options.timeout."""

    def __init__(self, options: Options) -> None:
        self.options = options
        # a Unix socket's path has to stay below 108 bytes
        self.directory = Path(tempfile.mkdtemp(prefix="ivm-"))
        self._loop = asyncio.new_event_loop()
        self._qmp = QMPClient("vm")
        self._events = EventListener()
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._deadline = 0.0
        self._reason: Optional[str] = None
        self._keyboard: Optional[socket.socket] = None

    def __enter__(self) -> "VM":
        self._deadline = time.monotonic() + self.options.timeout
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        line = command_line(self.options, self.directory)
        with (self.directory / "stderr").open("wb") as errors:
            # snapshots go to TMPDIR: not onto a tmpfs of a small machine
            environment = {**os.environ, "TMPDIR": os.environ.get("TMPDIR", "/var/tmp")}
            self._process = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=environment
            )
        control = self.directory / "qmp"
        while not control.exists():
            self._check("QEMU's control socket")
            time.sleep(_POLL / 5)
        try:
            self._connect(str(control))
        except (QMPError, OSError, asyncio.TimeoutError) as error:
            # a KVM that cannot run this machine has QEMU abort about now
            said = (self.directory / "stderr").read_text(errors="replace").strip()
            raise self._failure(f"no QMP: {error!r}: {said}") from error
        if self.options.keyboard:
            # read here: where QEMU logs a socket itself, characters come twice under load
            self._keyboard = socket.socket(socket.AF_UNIX)
            self._keyboard.connect(str(self.directory / "tty"))
            arguments = (self._keyboard, self.directory / "console")
            threading.Thread(target=_copy, args=arguments, daemon=True).start()
        self.qmp("cont")

    def _connect(self, control: str) -> None:
        """Connect to QMP. QEMU listens a moment after it has made the socket."""
        while True:
            self._qmp = QMPClient("vm")
            self._qmp.register_listener(self._events)
            try:
                return self._run(self._qmp.connect(control))
            except ConnectError as error:
                if not isinstance(error.exc, ConnectionRefusedError):
                    raise
                self._check("QEMU to listen")
                time.sleep(_POLL)

    def _run(self, awaitable: Awaitable[T]) -> T:
        async def limited() -> T:
            return await asyncio.wait_for(awaitable, 30)

        return self._loop.run_until_complete(limited())

    def qmp(self, command: str, arguments: Optional[dict[str, object]] = None) -> Any:
        """Run one QMP command and return its answer. Raises MachineFailure."""
        try:
            return self._run(self._qmp.execute(command, arguments))
        except (QMPError, asyncio.TimeoutError) as error:
            raise self._failure(f"QMP {command}: {error!r}") from error

    def plug(self, number: int) -> None:
        """Plug in the drive of this number, whose `plugged` was false."""
        drive = self.options.drives[number]
        arguments: dict[str, object] = {"driver": drive.interface, "id": f"disk{number}"}
        arguments.update(drive=f"d{number}", bus=f"port{number}", serial=f"d{number}")
        self.qmp("device_add", arguments)

    def pull(self, name: str) -> None:
        """Pull out the drive of this name, and wait until the machine has let go of it."""
        self.qmp("device_del", {"id": name})
        while any(
            one["name"] == name for one in self.qmp("qom-list", {"path": "/machine/peripheral"})
        ):
            self._check(f"{name} to be let go of")
            time.sleep(_POLL)

    def type(self, text: str) -> None:
        """Send text to the first serial port of a machine with a keyboard."""
        assert self._keyboard is not None
        self._keyboard.sendall(text.encode())

    @property
    def console(self) -> str:
        """What the machine has written to its first serial port so far."""
        return self._read("console")

    @property
    def report(self) -> str:
        """What the machine has written to its second serial port so far."""
        return self._read("report")

    def _read(self, name: str) -> str:
        path = self.directory / name
        text = path.read_bytes().decode(errors="replace") if path.exists() else ""
        # terminal control sequences and carriage returns
        return re.sub(r"\x1b(\[[0-9;?!]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\))|\r", "", text)

    def wait_console(self, pattern: str, timeout: float = 60) -> "re.Match[str]":
        """Wait until the console matches, at most timeout seconds. Raises MachineFailure."""
        end = time.monotonic() + timeout
        while True:
            over = self._over()
            match = re.search(pattern, self.console, re.MULTILINE)
            if match:
                return match
            if over or time.monotonic() > end:
                raise self._failure(f"console never matched {pattern!r}")
            self._check(f"console to match {pattern!r}")
            time.sleep(_POLL)

    def wait_quiet(self, seconds: float) -> None:
        """Wait until nothing has been written to the console for so long, in wall-clock time."""
        console, since = self.console, time.monotonic()
        while time.monotonic() < since + seconds:
            self._check("a quiet console")
            time.sleep(_POLL)
            if self.console != console:
                console, since = self.console, time.monotonic()

    def wait_end(self, watch: Callable[[str], None] = lambda console: None) -> Ending:
        """Wait until the machine ends by itself, showing watch() the console meanwhile.

        Raises MachineFailure at the deadline.
        """
        while not self._over():
            console = self.console
            watch(console)
            if PANIC in console:
                return Ending.PANIC
            self._check("its end")
            time.sleep(_POLL)
        if PANIC in self.console or self._reason == "guest-panic":
            return Ending.PANIC
        if self._reason == "guest-reset":
            return Ending.RESET
        if self._reason == "guest-shutdown":
            return Ending.POWEROFF
        raise self._failure(f"QEMU ended by itself ({self._reason})")

    def _over(self) -> bool:
        """Whether the machine ended; notes why."""
        assert self._process is not None
        ended = self._process.poll() is not None
        if self._reason is None:
            # what a QEMU that is gone has said last may still be on its way
            self._run(asyncio.sleep(1 if ended else _POLL / 10))
            for event in self._events.clear():
                if event["event"] == "SHUTDOWN":
                    data: Any = event["data"]
                    self._reason = str(data["reason"])
        return ended or self._reason is not None

    def _check(self, what: str) -> None:
        assert self._process is not None
        if time.monotonic() > self._deadline:
            raise self._failure(f"{self.options.timeout:.0f} s are over, waited for {what}")
        if self._process.poll() is not None and self._reason is None:
            errors = (self.directory / "stderr").read_text(errors="replace").strip()
            if not (self.directory / "console").exists() or errors:
                raise self._failure(f"QEMU ended, status {self._process.returncode}: {errors}")

    def _failure(self, what: str) -> MachineFailure:
        return MachineFailure(f"machine: {what}\n{self.tail()}")

    def tail(self, lines: int = 60) -> str:
        """The console's last lines, framed."""
        text = "\n".join(self.console.rstrip().splitlines()[-lines:])
        return f"--- console, last {lines} lines\n{text}\n--- end of console"

    def close(self) -> None:
        """End QEMU if it still runs and delete its directory."""
        # fails where QEMU is gone or never answered
        with contextlib.suppress(Exception):
            self._run(self._qmp.disconnect())
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._keyboard is not None:
            self._keyboard.close()
        self._loop.close()
        shutil.rmtree(self.directory, ignore_errors=True)
