# SPDX-License-Identifier: MIT
"""Run a virtual machine in QEMU: serial console in a file, QMP for events and hotplug."""

import asyncio
import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Optional, TypeVar

from qemu.qmp import ConnectError, EventListener, QMPClient, QMPError

from harness.machine import Options, command_line
from harness.running import PANIC, POLL, Ending, MachineFailure, Running

__all__ = ["PANIC", "VM", "Ending", "MachineFailure"]

T = TypeVar("T")

# Reason in QEMU's event SHUTDOWN -> ending.
_ENDINGS = {
    "guest-shutdown": Ending.POWEROFF,
    "guest-reset": Ending.RESET,
    "guest-panic": Ending.PANIC,
}


def _copy(connection: socket.socket, path: Path) -> None:
    """Write all received bytes to a file, until the connection ends."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while data := connection.recv(65536):
            file.write(data)


class VM(Running):
    """A machine in QEMU."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._loop = asyncio.new_event_loop()
        self._qmp = QMPClient("vm")
        self._events = EventListener()
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._reason: Optional[str] = None
        self._keyboard: Optional[socket.socket] = None

    def _start(self) -> None:
        line = command_line(self.options, self.directory)
        with (self.directory / "stderr").open("wb") as errors:
            # QEMU writes snapshots to TMPDIR. A tmpfs there may be too small for them.
            environment = {**os.environ, "TMPDIR": os.environ.get("TMPDIR", "/var/tmp")}
            self._process = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=environment
            )
        control = self.directory / "qmp"
        while not control.exists():
            self._check_started("QEMU's control socket")
            time.sleep(POLL / 5)
        try:
            self._connect(str(control))
        except (QMPError, OSError, asyncio.TimeoutError) as error:
            # If KVM cannot run this machine, QEMU aborts at about this time.
            said = (self.directory / "stderr").read_text(errors="replace").strip()
            raise self._failure(f"no QMP: {error!r}: {said}") from error
        if self.options.keyboard:
            # Copy the output here: under load, the log file of a QEMU socket has characters twice.
            self._keyboard = socket.socket(socket.AF_UNIX)
            self._keyboard.connect(str(self.directory / "tty"))
            arguments = (self._keyboard, self.directory / "console")
            threading.Thread(target=_copy, args=arguments, daemon=True).start()
        self.qmp("cont")

    def _check_started(self, what: str) -> None:
        assert self._process is not None
        self._check(what)
        if self._process.poll() is not None:
            raise self._failure(self._gone())

    def _connect(self, control: str) -> None:
        """Connect to QMP. Retries, because QEMU makes the socket before it listens."""
        while True:
            self._qmp = QMPClient("vm")
            self._qmp.register_listener(self._events)
            try:
                return self._run(self._qmp.connect(control))
            except ConnectError as error:
                if not isinstance(error.exc, ConnectionRefusedError):
                    raise
                self._check_started("QEMU to listen")
                time.sleep(POLL)

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
        """Pull out the drive of this name, and wait until the machine has released it."""
        self.qmp("device_del", {"id": name})
        while any(
            one["name"] == name for one in self.qmp("qom-list", {"path": "/machine/peripheral"})
        ):
            self._check(f"{name} to be let go of")
            time.sleep(POLL)

    def type(self, text: str) -> None:
        """Send text to the first serial port of a machine with a keyboard."""
        assert self._keyboard is not None
        self._keyboard.sendall(text.encode())

    def _ending(self) -> Optional[Ending]:
        assert self._process is not None
        ended = self._process.poll() is not None
        # After QEMU has exited, its last event may still arrive.
        patience = time.monotonic() + (1 if ended else 0)
        self._hear()
        while self._reason is None and time.monotonic() < patience:
            self._hear()
        ending = _ENDINGS.get(self._reason or "")
        if ending is None and (ended or self._reason):
            raise self._failure(self._gone())
        return ending

    def _hear(self) -> None:
        """Read the pending events, and store the reason of the first shutdown."""
        self._run(asyncio.sleep(POLL / 10))
        for event in self._events.clear():
            if event["event"] == "SHUTDOWN" and self._reason is None:
                data: Any = event["data"]
                self._reason = str(data["reason"])

    def _gone(self) -> str:
        """Return a message with QEMU's exit status, shutdown reason and errors."""
        assert self._process is not None
        errors = (self.directory / "stderr").read_text(errors="replace").strip()
        return f"QEMU ended, status {self._process.poll()} ({self._reason}): {errors}"

    def _stop(self) -> None:
        # Disconnecting fails if QEMU has exited or never answered.
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
