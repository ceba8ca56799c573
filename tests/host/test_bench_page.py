# SPDX-License-Identifier: MIT
"""docs/performance.md: verdicts on the targets, comparisons, and sections without figures."""

from typing import Any

from benchmarks import targets
from benchmarks.page import page
from benchmarks.statistics import figure

HEADER = {"kernel": "6.12.0", "qemu": "7.2.0", "commit": "abc", "options": {"runs": 3}}


def known() -> "dict[str, Any]":
    """Return the figures of three boots each of plain, file and c."""
    times = {
        "plain": {"run_init": [3.2, 3.3, 3.4], "multi_user": [16.0, 16.5, 17.0]},
        "file": {"run_init": [2.3, 2.4, 2.5], "multi_user": [15.9, 16.4, 17.1]},
        "c": {"run_init": [2.0, 2.0, 2.1], "multi_user": [16.0, 16.1, 16.2]},
    }
    variants: dict[str, Any] = {
        variant: {name: figure(values) for name, values in one.items()}
        for variant, one in times.items()
    }
    variants["file"]["stage1"] = figure([1.8, 1.9, 2.0])
    variants["c"]["stage1"] = figure([1.5, 1.5, 1.6])
    variants["file"]["initramfs"] = figure([5.8e6])
    return {"header": HEADER, "variants": variants}


def rows(content: "dict[str, Any]") -> "dict[str, targets.Row]":
    return {row.what: row for row in targets.rows(content, {})}


def test_a_missed_target_shows_by_how_much() -> None:
    found = rows(known())["`Run /init` to exec of stage 2's init, against sequential C"]
    assert (found.target, found.measured) == ("<= 1.00x c", "1.27x")
    assert found.verdict == "**1.27x the target**"


def test_a_target_can_be_missed_without_a_ratio() -> None:
    """The ranges of 16.4 and 16.5 s overlap, but neither supports 0.85x."""
    found = rows(known())["multi-user, image in a file, virtual time"]
    assert found.measured.startswith("~ ") and found.verdict.startswith("**1.17x")


def test_a_target_for_a_size() -> None:
    found = rows(known())["mini-initramfs, generic"]
    assert (found.measured, found.verdict) == ("5.80 MB", "ok")


def test_a_target_without_figures_is_not_met() -> None:
    verdicts = {row.verdict for row in targets.rows({}, {})}
    assert verdicts == {targets.MISSING}


def test_a_target_for_a_time_requires_several_runs() -> None:
    content = known()
    for one in content["variants"].values():
        for name in one:
            one[name]["n"] = 1
    what = "`Run /init` to exec of stage 2's init, against sequential C"
    assert rows(content)[what].verdict == targets.ONCE


def test_growth() -> None:
    points = {"file": {"0": figure([4.0, 4.0]), "1024": figure([4.01, 4.02])}}
    row = targets.growth({"grow": {"points": points}}, "file", "in a file")
    assert (row.measured, row.verdict) == ("1.004x", "ok")
    points["file"]["1024"] = figure([4.8, 4.9])
    row = targets.growth({"grow": {"points": points}}, "file", "in a file")
    assert row.verdict == "**1.20x the target**"
    row = targets.growth({"grow": {"points": points}}, "device", "on a device")
    assert row.verdict == targets.MISSING


def test_verity_is_compared_with_file_in_the_same_section() -> None:
    content = known()
    boots = {
        "file": {"first_systemd": figure([3.0, 3.1])},
        "verity": {"first_systemd": figure([3.2, 3.3])},
    }
    content["cpu"] = {"header": HEADER, "variants": boots}
    found = rows(content)["first systemd, image verified, SHA-256 instructions"]
    assert (found.target, found.measured) == ("<= 1.05x file", "1.07x")
    assert rows(content)["first systemd, image verified, virtual time"].verdict == targets.MISSING
    assert "## Boots, virtual time, processor with SHA-256 instructions" in page(content, {})


def test_the_page_has_the_rows_of_bench_native() -> None:
    name = "storage-init: start, interpreter, wall clock"
    native = {
        name: {"median": 0.4, "min": 0.4, "max": 0.45, "n": 9, "unit": "ms"},
        "storage-init: boot, instructions": {**figure([8645437.0] * 3), "unit": ""},
        "storage-init: size": {**figure([411336.0]), "unit": "bytes"},
    }
    text = page(known(), native)
    assert f"| {name}, ms | 0.4 | 0.4 | 0.45 | 9 |" in text
    assert (
        "| storage-init: boot, instructions | 8.65 million | 8.65 million | 8.65 million | 3 |"
        in text
    )
    assert "| storage-init: size, bytes | 411,336 | 411,336 | 411,336 | 1 |" in text
    assert "| interpreter's start to the first line of Python | <= 0.5 ms | 0.40 ms | ok |" in text


def test_the_page() -> None:
    text = page(known(), {})
    assert "| file | 2.40 (2.30-2.50) **0.73x** | 1.90 (1.80-2.00) | " in text
    assert "| mark | faster | ranges overlap |" in text
    assert "| run init | file, c | - |" in text
    assert "| multi user | - | file, c |" in text
    assert "Linux 6.12.0, QEMU 7.2.0, commit abc; runs 3." in text
    # A section without figures has neither heading nor graph.
    assert "## Memory" not in text and "## Growth" not in text and ".svg" not in text
    assert text == page(known(), {})
