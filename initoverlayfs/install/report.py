# SPDX-License-Identifier: MIT
"""Messages, progress, and the table of sizes."""

import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Optional, TextIO


def say(text: str) -> None:
    """Print a message of the program to standard error."""
    print(f"initoverlayfs-install: {text}", file=sys.stderr)


def warn(text: str) -> None:
    """Print a warning to standard error."""
    say(f"warning: {text}")


class Progress:
    """Show the current step: on a terminal one line with the elapsed seconds, else a line a step.

    lines: a line a step on terminals too, for use beside other output.
    """

    def __init__(self, stream: TextIO = sys.stderr, lines: bool = False) -> None:
        self._stream = stream
        self._live = stream.isatty() and not lines
        self._text = ""
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._thread: Optional[threading.Thread] = None

    def __enter__(self) -> "Progress":
        if self._live:
            self._thread = threading.Thread(target=self._tick, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()
            self._stream.write("\r\033[K")
            self._stream.flush()

    def step(self, text: str) -> None:
        """Show that a step begins, and with it the previous one ends."""
        self._text = text
        if not self._live:
            print(f"initoverlayfs-install: {text}", file=self._stream, flush=True)

    def _tick(self) -> None:
        while not self._ended.wait(0.2):
            seconds = time.monotonic() - self._started
            self._stream.write(f"\r\033[K{self._text} ... {seconds:.0f} s")
            self._stream.flush()


def megabytes(size: Optional[int]) -> str:
    """Format a size in bytes as megabytes of 10^6; "-" for None, a file that does not exist."""
    return "-" if size is None else f"{size / 1e6:.1f} MB"


# name, bytes before, bytes after, note
Row = tuple[str, Optional[int], Optional[int], str]


def table(rows: Sequence[Row]) -> str:
    """Format a table of sizes, with a heading; sizes in bytes, None for a missing file."""
    cells = [("", "before", "after", "")]
    cells += [(name, megabytes(old), megabytes(new), note) for name, old, new, note in rows]
    width = max(len(cell[0]) for cell in cells)
    return "\n".join(
        f"{name:<{width}}  {old:>9}  {new:>9}  {note}".rstrip() for name, old, new, note in cells
    )
