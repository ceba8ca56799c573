# SPDX-License-Identifier: MIT
"""storage-init alone beside the same boot in C, on this machine: `./dev bench-native`.

Both run in namespaces (namespaces.py), in batches that take turns. A sample is a batch: the median
of its boots for wall clock and CPU time, for user and system time the batch's share of a boot. The
kernel tells these two apart by its timer tick only, which a boot of 5 ms sees once, so they come
from a cgroup that a whole batch runs in; where there is no cgroup2 to write to, they are left out.
Resident memory is counted by the kernel (Linux 6.2) in steps of up to 128 KiB a processor: small
programs show as 0.

Writes build/native.json: {"rows": {name: {median, min, max, n, unit}}}.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import built

from benchmarks import store
from benchmarks.namespaces import Bench, compiled
from benchmarks.statistics import Figure, figure, ratio, shown_ratio
from harness import cache

OURS, THEIRS = "storage-init", "C"
BATCHES = 10
BOOTS = 40
STARTS = 200

# name -> samples, in order
Samples = dict[str, list[float]]


@contextlib.contextmanager
def own_cgroup() -> "Iterator[Optional[Path]]":
    """A cgroup2 of our own; None where none can be made."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    found = [Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"]
    path = found[0] / f"bench-native-{os.getpid()}" if found else None
    try:
        if path:
            path.mkdir()
    except OSError:
        path = None
    try:
        yield path
    finally:
        if path:
            path.rmdir()


def cpu(cgroup: Optional[Path]) -> "tuple[float, float]":
    """User and system time in milliseconds that a cgroup has used."""
    if cgroup is None:
        return 0.0, 0.0
    words = dict(line.split() for line in (cgroup / "cpu.stat").read_text().splitlines())
    return int(words["user_usec"]) / 1e3, int(words["system_usec"]) / 1e3


def note(samples: Samples, name: str, value: float) -> None:
    samples.setdefault(name, []).append(value)


def boots(bench: Bench, program: Path, cgroup: Optional[Path], samples: Samples) -> None:
    """One batch of boots."""
    before = cpu(cgroup)
    found = [bench.boot(program, str(cgroup or "-")) for _ in range(BOOTS)]
    after = cpu(cgroup)
    note(samples, "boot, wall clock", statistics.median(boot.wall for boot in found))
    note(samples, "boot, CPU", statistics.median(boot.cpu for boot in found))
    if cgroup:
        note(samples, "boot, user CPU", (after[0] - before[0]) / BOOTS)
        note(samples, "boot, system CPU", (after[1] - before[1]) / BOOTS)
    note(samples, "boot, resident", max(boot.resident for boot in found))


def starts(
    bench: Bench, name: str, line: list[str], cgroup: Optional[Path], samples: Samples
) -> None:
    """One batch of starts of a program that ends at once."""
    before = cpu(cgroup)
    found = bench.spawn(STARTS, line, str(cgroup or "-"))
    after = cpu(cgroup)
    note(samples, f"{name}, wall clock", statistics.median(wall for wall, _ in found))
    if cgroup:
        note(samples, f"{name}, user CPU", (after[0] - before[0]) / STARTS)


def measure(bench: Bench, cgroup: Optional[Path]) -> "dict[str, dict[str, Figure]]":
    """All figures of both programs, by their names."""
    programs = {OURS: Path(built.program("storage-init")), THEIRS: bench.directory / "native"}
    counted = {OURS: Path(built.program("storage-init.counted")), THEIRS: programs[THEIRS]}
    empty = [str(bench.starter), "true"]
    lines = {
        "start, interpreter": [built.program("micropython"), "-c", "pass"],
        "start, --version": [str(programs[OURS]), "--version"],
    }
    samples: dict[str, Samples] = {OURS: {}, THEIRS: {}}
    for batch in range(BATCHES):
        print(f"batch {batch + 1} of {BATCHES}", file=sys.stderr)
        for who, program in programs.items():
            boots(bench, program, cgroup, samples[who])
        for name, line in lines.items():
            starts(bench, name, line, cgroup, samples[OURS])
            starts(bench, name, empty, cgroup, samples[THEIRS])
    for who, program in programs.items():
        for _ in range(3):
            calls = bench.system_calls(program)
            note(samples[who], "boot, system calls", sum(calls.values()))
            note(samples[who], "boot, instructions", bench.instructions(counted[who]))
        note(samples[who], "size", program.stat().st_size)
        print(f"{who}: {', '.join(f'{n} {name}' for name, n in calls.most_common())}")
    return {
        who: {name: figure(values) for name, values in found.items()}
        for who, found in samples.items()
    }


def _unit(name: str) -> str:
    units = {"calls": "", "instructions": "", "resident": "KiB", "size": "bytes"}
    return units.get(name.split()[-1], "ms")


def table(found: "dict[str, dict[str, Figure]]") -> str:
    """Lines of a name, our figure, that of the C program, the ratio."""
    lines = [f"{'':28}{OURS:>34}{THEIRS:>34}  ratio"]
    for name, one in found[OURS].items():
        other = found[THEIRS][name]
        texts = (_shown(one, _unit(name)), _shown(other, _unit(name)))
        lines.append(
            f"{name:28}{texts[0]:>34}{texts[1]:>34}  {shown_ratio(_ratio(name, one, other))}"
        )
    return "\n".join(lines)


def _ratio(name: str, one: Figure, other: Figure) -> Optional[float]:
    return ratio(one, other, timed=_unit(name) == "ms")


def _shown(one: Figure, unit: str) -> str:
    form = "{:,.2f}" if unit == "ms" else "{:,.0f}"
    text = form.format(one["median"])
    if one["min"] != one["max"]:
        text += " (" + form.format(one["min"]) + "-" + form.format(one["max"]) + ")"
    return f"{text} {unit}".rstrip()


def rows(found: "dict[str, dict[str, Figure]]") -> "dict[str, dict[str, object]]":
    """For the report: each figure of each program with its unit."""
    return {
        f"{who}: {name}": {**one, "unit": _unit(name)}
        for who, metrics in found.items()
        for name, one in metrics.items()
    }


def report(path: Path) -> None:
    """Measure, print the table, write the report. Raises PermissionError for who is not root."""
    if os.geteuid() != 0:
        raise PermissionError("bench-native: needs root, for mounts and loop devices")
    directory = tempfile.TemporaryDirectory(prefix=".bench-", dir=cache.home())
    with directory as name, Bench.made(Path(name)) as bench:
        compiled("native.c", Path(name))
        with own_cgroup() as cgroup:
            found = measure(bench, cgroup)
    print(table(found))
    path.write_text(json.dumps({"rows": rows(found)}, indent=1) + "\n")


def main() -> int:
    """The program. Returns its exit status."""
    parser = argparse.ArgumentParser(prog="./dev bench-native", description=__doc__)
    parser.add_argument("--report", type=Path, default=store.NATIVE)
    try:
        report(parser.parse_args().report)
    except PermissionError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
