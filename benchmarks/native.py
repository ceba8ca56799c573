# SPDX-License-Identifier: MIT
"""Compare storage-init alone with a C program that does the same work, on this machine.

Both boot in namespaces (namespaces.py), in batches that take turns. A batch gives a sample: the
median of its boots for wall clock and CPU time, the mean for user and system time. The kernel
separates user from system time by its timer tick, which occurs about once in a boot of 5 ms.
Therefore these two come from a cgroup in which the whole batch runs, and are left out if no cgroup2
is writable. Since Linux 6.2 the kernel counts resident memory in steps of up to 128 KiB per
processor, so a small program shows as 0.

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

# metric -> its samples, in order
Samples = dict[str, list[float]]


@contextlib.contextmanager
def own_cgroup() -> "Iterator[Optional[Path]]":
    """Create a cgroup2 while the context lasts; yield None if that is not possible."""
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


def cpu_times(cgroup: Optional[Path]) -> "tuple[float, float]":
    """Return the user and the system time of a cgroup in milliseconds, zeros without a cgroup."""
    if cgroup is None:
        return 0.0, 0.0
    words = dict(line.split() for line in (cgroup / "cpu.stat").read_text().splitlines())
    return int(words["user_usec"]) / 1e3, int(words["system_usec"]) / 1e3


def add_sample(samples: Samples, name: str, value: float) -> None:
    """Append a sample of a metric."""
    samples.setdefault(name, []).append(value)


def boots(bench: Bench, program: Path, cgroup: Optional[Path], samples: Samples) -> None:
    """Boot a batch, and add its samples."""
    before = cpu_times(cgroup)
    found = [bench.boot(program, str(cgroup or "-")) for _ in range(BOOTS)]
    after = cpu_times(cgroup)
    add_sample(samples, "boot, wall clock", statistics.median(boot.wall for boot in found))
    add_sample(samples, "boot, CPU", statistics.median(boot.cpu for boot in found))
    if cgroup:
        add_sample(samples, "boot, user CPU", (after[0] - before[0]) / BOOTS)
        add_sample(samples, "boot, system CPU", (after[1] - before[1]) / BOOTS)
    add_sample(samples, "boot, resident", max(boot.resident for boot in found))


def starts(
    bench: Bench, name: str, line: list[str], cgroup: Optional[Path], samples: Samples
) -> None:
    """Start a program that exits at once, a batch of times, and add the samples."""
    before = cpu_times(cgroup)
    found = bench.spawn(STARTS, line, str(cgroup or "-"))
    after = cpu_times(cgroup)
    add_sample(samples, f"{name}, wall clock", statistics.median(wall for wall, _ in found))
    if cgroup:
        add_sample(samples, f"{name}, user CPU", (after[0] - before[0]) / STARTS)


def measure(bench: Bench, cgroup: Optional[Path]) -> "dict[str, dict[str, Figure]]":
    """Measure both programs; return program -> metric -> figure."""
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
        for side, program in programs.items():
            boots(bench, program, cgroup, samples[side])
        for name, line in lines.items():
            starts(bench, name, line, cgroup, samples[OURS])
            starts(bench, name, empty, cgroup, samples[THEIRS])
    for side, program in programs.items():
        for _ in range(3):
            calls = bench.system_calls(program)
            add_sample(samples[side], "boot, system calls", sum(calls.values()))
            add_sample(samples[side], "boot, instructions", bench.instructions(counted[side]))
        add_sample(samples[side], "size", program.stat().st_size)
        print(f"{side}: {', '.join(f'{n} {name}' for name, n in calls.most_common())}")
    return {
        side: {name: figure(values) for name, values in found.items()}
        for side, found in samples.items()
    }


def _unit(name: str) -> str:
    units = {"calls": "", "instructions": "", "resident": "KiB", "size": "bytes"}
    return units.get(name.split()[-1], "ms")


def table(found: "dict[str, dict[str, Figure]]") -> str:
    """Format a table with the metric, both programs' figures, and their ratio in each line."""
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
    """Return the rows of the report: each program's figures, with their units."""
    return {
        f"{side}: {name}": {**one, "unit": _unit(name)}
        for side, metrics in found.items()
        for name, one in metrics.items()
    }


def report(path: Path) -> None:
    """Measure, print the table, write the report. Raises PermissionError without root."""
    if os.geteuid() != 0:
        raise PermissionError("bench-native: requires root, for mounts and loop devices")
    directory = tempfile.TemporaryDirectory(prefix=".bench-", dir=cache.home())
    with directory as name, Bench.made(Path(name)) as bench:
        compiled("native.c", Path(name))
        with own_cgroup() as cgroup:
            found = measure(bench, cgroup)
    print(table(found))
    path.write_text(json.dumps({"rows": rows(found)}, indent=1) + "\n")


def main() -> int:
    """Run the program; return its exit status."""
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
