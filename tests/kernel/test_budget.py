# SPDX-License-Identifier: MIT
"""A boot of storage-init in namespaces stays within tests/budget.json."""

import os
from collections.abc import Iterator
from pathlib import Path

import built
import pytest

from benchmarks import budget
from benchmarks.namespaces import Bench

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="requires root, for mounts and loop devices"),
    pytest.mark.timeout(300),
]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Prepare boots; detach the loop device afterwards."""
    with Bench.made(tmp_path) as made:
        yield made


def within(name: str, measured: int) -> None:
    """Fail with the verdict's line, without a traceback, if a figure exceeds the budget."""
    line = budget.verdict(name, measured)
    if line:
        pytest.fail(line, pytrace=False)


@pytest.mark.parametrize("name", ["boot", "mounted boot"])
def test_system_calls(bench: Bench, name: str) -> None:
    bench.mounts = name == "mounted boot"
    calls = bench.system_calls(Path(built.program("storage-init")))
    assert calls["execve"] == 2 and calls["mount"] > 5
    within(name + " system calls", sum(calls.values()))


@pytest.mark.parametrize("name", ["boot", "mounted boot"])
def test_instructions(bench: Bench, name: str) -> None:
    bench.mounts = name == "mounted boot"
    counted = bench.instructions(Path(built.program("storage-init.counted")))
    assert counted > 1_000_000, "too few instructions for a whole boot"
    within(name + " instructions", counted)
