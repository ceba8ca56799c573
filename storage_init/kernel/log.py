# SPDX-License-Identifier: MIT
"""One logger: lines that start with `initoverlayfs: `, kept until they can go somewhere."""

from storage_init.kernel.failure import BootFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Optional, Tuple

# Levels of syslog(3), as the kernel's log has them.
ERROR = 3
WARNING = 4
INFO = 6
DEBUG = 7

# The kernel cuts a record at about 1,000 bytes.
_LINE_LIMIT = 900


class Log:
    """Writes each line with one call of `sink(level, line)`; queues lines until it has a sink.

    A sink that fails loses its line and nothing else: logging never raises.
    """

    def __init__(self, sink: "Optional[Callable[[int, str], object]]" = None) -> None:
        self.verbose = False
        self._sink = sink
        self._queue: List[Tuple[int, str]] = []

    def open(self, sink: "Callable[[int, str], object]") -> None:
        """Write to `sink` from now on, what was queued first."""
        self._sink = sink
        queue, self._queue = self._queue, []
        for level, line in queue:
            self._write(level, line)

    def error(self, text: str) -> None:
        self._write(ERROR, text)

    def warning(self, text: str) -> None:
        self._write(WARNING, text)

    def info(self, text: str) -> None:
        self._write(INFO, text)

    def debug(self, text: str) -> None:
        if self.verbose:
            self._write(DEBUG, text)

    def _write(self, level: int, text: str) -> None:
        if self._sink is None:
            self._queue.append((level, text))
            return
        try:
            self._sink(level, "initoverlayfs: " + printable(text)[:_LINE_LIMIT])
        except Exception:  # nowhere is left to say it
            pass


def printable(text: str) -> str:
    """`text` with each control character as `?`: no device's name may forge a line."""
    for byte in text.encode():  # bytes: MicroPython would make a string of each character
        if byte < 32 or byte == 127:
            return "".join(["?" if c < " " or c == "\x7f" else c for c in text])
    return text


def reason(error: BaseException) -> str:
    """Return what an exception says, as one line: the whole sentence of Kernel's OSErrors."""
    if isinstance(error, OSError) and len(error.args) > 1:
        return str(error.args[1])
    if isinstance(error, BootFailure):
        return str(error)
    text = str(error)
    name = type(error).__name__
    return name + ": " + text if text else name
