# SPDX-License-Identifier: MIT
"""`./dev bench` checks its command line and privileges before it measures anything."""

import os
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import native
from benchmarks.variants import Machines


def test_sizes_are_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.arguments(["--sizes", "1,20"]).sizes == [1, 20]
    assert bench.arguments([]).sizes[-1] == 1024
    with pytest.raises(SystemExit) as caught:
        bench.arguments(["--all", "--sizes", "1,x"])
    assert caught.value.code == 2
    assert "--sizes" in capsys.readouterr().err


def test_all_skips_native_without_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    machines = Machines(tmp_path, tmp_path, said.append)
    bench.Bench(bench.arguments(["--all"]), machines, said.append).native()
    assert said == ["skipping --native, which requires root"]
    with pytest.raises(PermissionError, match="bench-native: requires root"):
        bench.Bench(bench.arguments(["--native"]), machines, said.append).native()
    with pytest.raises(PermissionError):
        native.report(tmp_path / "report")
