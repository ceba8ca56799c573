# SPDX-License-Identifier: MIT
"""Log lines that start with `initoverlayfs: `, and queue them until a sink is open."""

from storage_init.kernel.failure import BootFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Optional, Tuple

# Levels of syslog(3), which the kernel log uses as well.
ERROR = 3
WARNING = 4
INFO = 6
DEBUG = 7

# The kernel truncates a record of its log at about 1,000 bytes.
_LINE_LIMIT = 900


class Log:
    """Write each line with one call of `sink(level, line)`, or queue it if there is no sink yet.

    Logging never raises. If the sink fails, its line is lost.
    """

    def __init__(self, sink: "Optional[Callable[[int, str], object]]" = None) -> None:
        self._verbose = False
        self._sink = sink
        self._queue: List[Tuple[int, str]] = []

    def open(self, sink: "Callable[[int, str], object]") -> None:
        """Write the queued lines to `sink`, and each further line."""
        self._sink = sink
        queue, self._queue = self._queue, []
        for level, line in queue:
            self._write(level, line)

    @property
    def is_verbose(self) -> bool:
        """Return whether debug lines are written, so that a caller can save making them."""
        return self._verbose

    def set_verbose(self, verbose: bool) -> None:
        """Choose whether `debug` writes its lines."""
        self._verbose = verbose

    def error(self, text: str) -> None:
        self._write(ERROR, text)

    def warning(self, text: str) -> None:
        self._write(WARNING, text)

    def info(self, text: str) -> None:
        self._write(INFO, text)

    def debug(self, text: str) -> None:
        if self._verbose:
            self._write(DEBUG, text)

    def _write(self, level: int, text: str) -> None:
        if self._sink is None:
            self._queue.append((level, text))
            return
        try:
            self._sink(level, "initoverlayfs: " + printable(text)[:_LINE_LIMIT])
        except Exception:
            pass  # a failing sink leaves no place to report its failure


def printable(text: str) -> str:
    """Replace each control character by `?`, so that the name of a device cannot forge a line."""
    for byte in text.encode():  # MicroPython would allocate a string for each character
        if byte < 32 or byte == 127:
            return "".join(["?" if c < " " or c == "\x7f" else c for c in text])
    return text


def reason(error: BaseException) -> str:
    """Return the message of an exception: for an OSError of Kernel, its sentence."""
    if isinstance(error, OSError) and len(error.args) > 1:
        return str(error.args[1])
    if isinstance(error, BootFailure):
        return str(error)
    text = str(error)
    name = type(error).__name__
    return name + ": " + text if text else name
