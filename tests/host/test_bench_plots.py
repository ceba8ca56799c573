# SPDX-License-Identifier: MIT
"""The graphs divide a boot into stages, and are reproducible."""

from pathlib import Path

from benchmarks import plots
from benchmarks.statistics import figure

PLAIN = {
    "run_init": figure([3.3]),
    "first_systemd": figure([3.5]),
    "root_systemd": figure([12.0]),
    "multi_user": figure([17.0]),
}
FILE = {**PLAIN, "run_init": figure([2.0]), "stage1": figure([1.2])}


def test_stages() -> None:
    assert list(plots.stages(PLAIN).values()) == [3.3, 0.0, 0.2, 8.5, 5.0]
    assert list(plots.stages(FILE).values()) == [2.0, 1.2, 0.3, 8.5, 5.0]


def test_in_systemd_mode_stage_1_belongs_to_the_first_systemd() -> None:
    assert list(plots.stages({**PLAIN, "stage1": figure([4.0])}).values())[1:3] == [0.0, 0.2]


def test_graphs_are_reproducible(tmp_path: Path) -> None:
    known = {
        "variants": {"plain": PLAIN, "file": FILE},
        "memory": {"variants": {"plain": {"in_use": figure([1e8]), "needed": figure([3e8])}}},
        "grow": {"points": {"plain": {"0": figure([3.0, 3.1]), "64": figure([4.0, 4.2])}}},
    }
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert plots.draw(known, tmp_path / name) == ["timeline", "memory", "size"]
        contents.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert len(contents[0]) == 6 and contents[0] == contents[1]
