# SPDX-License-Identifier: MIT
"""The unit tests pass on the shipped interpreter, with the modules frozen into storage-init."""

import ast
import subprocess
from pathlib import Path

import built
import pytest

from benchmarks import budget

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "tests" / "unit"
# Modules that require CPython, or that run the program when they are imported.
NOT_IMPORTED = {"_syscalls_build", "__init__", "__main__"}


@pytest.fixture(scope="module")
def micropython_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    # In an empty working directory only the frozen storage_init can be imported.
    result = subprocess.run(
        # The heap starts with the size that module/main.c gives to storage-init.
        [built.program("micropython"), "-X", "heapsize=1M", UNIT / "run.py"],
        cwd=tmp_path_factory.mktemp("empty"),
        env={},
        capture_output=True,
        text=True,
        timeout=100,
    )
    print(result.stdout[-8000:] + result.stderr)
    assert result.returncode == 0
    return result.stdout


def modules() -> "set[str]":
    """Return the modules of storage_init with their packages, as in `formats.ext4`."""
    top = ROOT / "storage_init"
    paths = [path for path in top.rglob("*.py") if path.stem not in NOT_IMPORTED]
    return {".".join(path.relative_to(top).with_suffix("").parts) for path in paths}


def test_every_module_is_imported_and_every_test_passes(micropython_run: str) -> None:
    (line,) = [line for line in micropython_run.splitlines() if line.startswith("modules ")]
    top = ROOT / "storage_init"
    packages = {".".join(path.parent.relative_to(top).parts) for path in top.rglob("__init__.py")}
    imported = {name.partition(".")[2] for name in line.split()[1:]}
    assert imported - packages == modules()


def test_run_py_runs_the_same_tests_as_pytest(micropython_run: str) -> None:
    expected = set()
    for path in UNIT.glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                expected.add(f"{path.stem}.{node.name}")
    passed = {line[3:] for line in micropython_run.splitlines() if line.startswith("ok ")}
    assert passed == expected


def test_every_module_has_a_test_of_its_name() -> None:
    names = sorted(name.rpartition(".")[2] for name in modules())
    assert sorted(path.stem[len("test_") :] for path in UNIT.glob("test_*.py")) == names


def test_the_working_directory_does_not_shadow_frozen_modules(tmp_path: Path) -> None:
    (tmp_path / "storage_init").mkdir()
    (tmp_path / "storage_init" / "__init__.py").write_text("raise SystemExit('shadowed')\n")
    (tmp_path / "storage_init" / "__main__.py").write_text("raise SystemExit('shadowed')\n")
    result = subprocess.run(
        [built.program("storage-init"), "--version"],
        cwd=tmp_path,
        env={"MICROPYPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert result.stdout.startswith("storage-init ") and "MicroPython" in result.stdout
    assert result.returncode == 0


def test_the_size_is_within_the_budget() -> None:
    size = Path(built.program("storage-init")).stat().st_size
    assert budget.verdict("storage-init", size) == ""
