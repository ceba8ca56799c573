# SPDX-License-Identifier: MIT
"""The benchmark locks the data of disks in memory, without their holes."""

import re
from pathlib import Path

from benchmarks import disks
from harness.machine import Drive, Options

MIB = 1 << 20


def sparse(path: Path, *places: int) -> Path:
    """Make a file of 64 MiB with 8 KiB of data at each of these offsets."""
    with path.open("wb") as file:
        file.truncate(64 * MIB)
        for place in places:
            file.seek(place)
            file.write(b"\1" * 8192)
    return path


def locked() -> int:
    """Return the bytes of memory that this process has locked."""
    text = Path("/proc/self/status").read_text()
    found = re.search(r"VmLck:\s*(\d+) kB", text)
    assert found
    return int(found.group(1)) * 1024


def test_holes_are_not_locked(tmp_path: Path) -> None:
    disk = sparse(tmp_path / "disk", 0, 32 * MIB)
    machine = Options(sparse(tmp_path / "kernel", 0), None, "", drives=(Drive(disk),))
    before = locked()
    with disks.locked_in_memory([machine]):
        assert 0 < locked() - before < MIB
    assert locked() == before


def test_ranges_of_data(tmp_path: Path) -> None:
    for places in ((), (0,), (MIB,), (0, 32 * MIB), (64 * MIB - 8192,)):
        with sparse(tmp_path / "file", *places).open("rb") as file:
            assert list(disks._data(file.fileno())) == [(place, 8192) for place in places]
    with (tmp_path / "empty").open("wb+") as file:
        assert list(disks._data(file.fileno())) == []
