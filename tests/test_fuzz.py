# SPDX-License-Identifier: MIT
"""tests/fuzz.py finds no fault in a short run on both interpreters, and reports planted faults."""

import subprocess
import sys
from pathlib import Path

import built
import pytest

FUZZ = Path(__file__).resolve().parent / "fuzz.py"

# A program that feeds the target named by its first argument, a function below, to fuzz.run().
BROKEN = f"""
import sys
sys.path.insert(0, {str(FUZZ.parent)!r})
import fuzz
from fuzz_targets import Reads

def make(random):
    return b"\\x01" + bytes([random.below(200)])

def fine(data):
    return data

def raising(data):
    if data[1] > 100:
        raise KeyError("unexpected")

def greedy(data):
    Reads(data, 10, 1000)(0, 1001)

def endless(data):
    while True:
        pass

fuzz.LIMIT = 1
fuzz.run("broken", (make, globals()[sys.argv[1]]), int(sys.argv[2]), int(sys.argv[3]))
"""


@pytest.fixture(params=["micropython", "CPython"])
def interpreter(request: pytest.FixtureRequest) -> str:
    return sys.executable if request.param == "CPython" else built.program("micropython")


def fuzz(interpreter: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    line = [interpreter, *(str(argument) for argument in arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=100, env={})


def test_both_interpreters_agree_on_every_target() -> None:
    runs = [
        fuzz(program, FUZZ, 1, 300) for program in (sys.executable, built.program("micropython"))
    ]
    for run in runs:
        assert run.returncode == 0, run.stdout + run.stderr
    assert runs[0].stdout == runs[1].stdout
    lines = [line.split() for line in runs[0].stdout.splitlines()]
    assert len(lines) == 10 and {line[1] for line in lines} == {"300"}


def test_inputs_depend_only_on_the_seed(interpreter: str) -> None:
    one, again, other = (fuzz(interpreter, FUZZ, seed, 20, "uevent").stdout for seed in (1, 1, 2))
    assert one == again != other


def test_a_failure_names_target_seed_and_input(interpreter: str, tmp_path: Path) -> None:
    program = tmp_path / "broken.py"
    program.write_text(BROKEN)
    good = fuzz(interpreter, program, "fine", 5, 50)
    assert good.returncode == 0 and good.stdout.startswith("broken 50 ")
    bad = fuzz(interpreter, program, "raising", 5, 50)
    assert bad.returncode == 1
    words = bad.stdout.splitlines()[0].split()
    assert words[:3] == ["FAIL", "broken", "seed"] and words[4] == "input"
    seed, data = words[3], bytes.fromhex(words[5])
    assert data[0] == 1 and data[1] > 100 and "KeyError" in bad.stdout
    once = fuzz(interpreter, program, "raising", seed, 1)
    assert once.returncode == 1 and once.stdout == bad.stdout


def test_reading_without_bounds_fails(interpreter: str, tmp_path: Path) -> None:
    program = tmp_path / "broken.py"
    program.write_text(BROKEN)
    bad = fuzz(interpreter, program, "greedy", 5, 50)
    assert bad.returncode == 1 and "FAIL broken seed 5 input 01" in bad.stdout


def test_an_input_that_hangs_fails(tmp_path: Path) -> None:
    program = tmp_path / "broken.py"
    program.write_text(BROKEN)
    bad = fuzz(sys.executable, program, "endless", 5, 50)
    assert bad.returncode == 1 and "FAIL broken seed 5 input 01" in bad.stdout
    assert "Hung" in bad.stdout


def test_wrong_arguments_fail(interpreter: str) -> None:
    assert fuzz(interpreter, FUZZ, 1, 1, "nonsense").returncode == 1
    assert fuzz(interpreter, FUZZ).returncode == 2
