# SPDX-License-Identifier: MIT
"""What the user sees: progress, and the table of sizes."""

import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Optional, TextIO


class Progress:
    """Says what is being done: on a terminal one line with its seconds, else a line a step."""

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
        """This is what is being done from now on."""
        self._text = text
        if not self._live:
            print(f"initoverlayfs-install: {text}", file=self._stream, flush=True)

    def _tick(self) -> None:
        while not self._ended.wait(0.2):
            seconds = time.monotonic() - self._started
            self._stream.write(f"\r\033[K{self._text} ... {seconds:.0f} s")
            self._stream.flush()


def megabytes(size: Optional[int]) -> str:
    """A size in bytes for the table; None: there is no such file."""
    return "-" if size is None else f"{size / 1e6:.1f} MB"


# name, bytes before, bytes after, what it is
Row = tuple[str, Optional[int], Optional[int], str]


def table(rows: Sequence[Row]) -> str:
    """The rows as lines of a table."""
    cells = [("", "before", "after", "")]
    cells += [(name, megabytes(old), megabytes(new), note) for name, old, new, note in rows]
    width = max(len(cell[0]) for cell in cells)
    return "\n".join(
        f"{name:<{width}}  {old:>9}  {new:>9}  {note}".rstrip() for name, old, new, note in cells
    )
