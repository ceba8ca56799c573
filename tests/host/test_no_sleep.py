# SPDX-License-Identifier: MIT
"""No fixed sleeps: storage-init waits only for events, until a deadline.

There are two documented exceptions, each a delay before a reboot: pid1.emergency, a poll without
descriptors, and last_resort in micropython/module/main.c, after a crash of the interpreter.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SLEEP = re.compile(r"\b\w*sleep\w*\b|\bpause\(|\bRestartSec\b|\budevadm settle\b|\balarm\(")
FILES = [
    *sorted((ROOT / "storage_init").glob("*.[ch]")),
    *sorted((ROOT / "storage_init").rglob("*.py")),
    *sorted(path for path in (ROOT / "dracut").rglob("*") if path.is_file()),
    *sorted((ROOT / "systemd").iterdir()),
]


def sleeps(text: str) -> "list[str]":
    return [line.strip() for line in text.splitlines() if SLEEP.search(line)]


def empty_polls(source: str) -> "list[str]":
    """Return the functions that call poll() or select() without descriptors, which is a sleep."""

    def walk(node: ast.AST, function: str) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef):
            function = node.name
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            literal = node.args and isinstance(node.args[0], (ast.List, ast.Tuple))
            if node.func.attr in ("poll", "select", "ipoll") and (
                not node.args or literal and not getattr(node.args[0], "elts", None)
            ):
                yield function
        for child in ast.iter_child_nodes(node):
            yield from walk(child, function)

    return list(walk(ast.parse(source), "<module>"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_has_no_sleep(path: Path) -> None:
    assert sleeps(path.read_text()) == []


def test_only_emergency_polls_without_descriptors() -> None:
    files = sorted((ROOT / "storage_init").rglob("*.py"))
    found = {path.name: empty_polls(path.read_text()) for path in files}
    assert {name: functions for name, functions in found.items() if functions} == {
        "pid1.py": ["emergency"]
    }


def test_only_last_resort_sleeps_in_c() -> None:
    files = sorted((ROOT / "micropython").rglob("*.[ch]"))
    text = "\n".join(path.read_text() for path in files)
    (function,) = re.findall(r"^static void last_resort\(void\)\n\{.*?^\}", text, re.M | re.S)
    assert sleeps(function) == sleeps(text) == ["left = sleep(left);", "pause();"]


@pytest.mark.parametrize(
    "text",
    [
        "    time.sleep(1)",
        "sleep 5",
        "    nanosleep(&time, NULL);",
        "    usleep(100);",
        "ExecStartPre=/bin/sleep 2",
        "RestartSec=1",
        "udevadm settle --timeout=30",
    ],
)
def test_sleep_is_detected(text: str) -> None:
    assert sleeps("first\n" + text + "\nlast") == [text.strip()]


def test_empty_poll_is_detected() -> None:
    assert empty_polls("def f(k):\n    k.poll([], 5)\ndef g(k):\n    k.poll([k.fd], 5)\n") == ["f"]
    assert empty_polls("select.select((), (), (), 1)\n") == ["<module>"]
