# SPDX-License-Identifier: MIT
"""`./dev bench-native` prints and reports the figures of storage-init and of the C program."""

from benchmarks.native import OURS, THEIRS, rows, table
from benchmarks.statistics import figure

FOUND = {
    OURS: {"boot, CPU": figure([4, 2, 3]), "boot, system calls": figure([165, 165])},
    THEIRS: {"boot, CPU": figure([1, 1]), "boot, system calls": figure([75, 170])},
}


def test_a_ratio_requires_ranges_that_do_not_overlap() -> None:
    _, times, calls = table(FOUND).splitlines()
    assert times.split() == ["boot,", "CPU", "3.00", "(2.00-4.00)", "ms", "1.00", "ms", "3.00x"]
    assert calls.endswith("165                      122 (75-170)  ~")


def test_rows_of_the_report() -> None:
    row = rows(FOUND)[f"{OURS}: boot, CPU"]
    assert row == {"median": 3, "min": 2, "max": 4, "n": 3, "unit": "ms"}
    assert rows(FOUND)[f"{THEIRS}: boot, system calls"]["unit"] == ""
