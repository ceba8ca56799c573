# SPDX-License-Identifier: MIT
"""`./dev bench`: boot the variants side by side, say how long each took, keep it as JSON."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (
    builds,
    chain,
    grow,
    marks,
    memory,
    native,
    runs,
    steps,
    store,
    tables,
    variants,
)
from benchmarks.statistics import Figure
from benchmarks.variants import Machines
from harness import accel, beside, cache
from harness.guest import KERNEL, KERNEL_HELP, Progress
from harness.privilege import CommandFailed
from harness.vm import MachineFailure

# What can be asked for, in the order in which it is done.
KINDS = {
    "native": "storage-init by itself, as ./dev bench-native",
    "icount": "whole boots in virtual time, one processor (the default)",
    "steps": "the steps of stage 1 in virtual time",
    "wall": "whole boots by the host's clock, two processors",
    "builds": "how long building takes",
    "chain": "plain and file from firmware on, from a slow disk",
    "grow": "time to the first systemd against the size of what is not used",
    "memory": "memory in use and needed, bytes read",
}

# By the host's clock a boot to the last mark tells mainly how busy the host was.
WALL_UNTIL = "first_systemd"


def numbers(text: str) -> list[int]:
    """Numbers with commas between them. Raises ValueError."""
    return [int(word) for word in text.split(",")]


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--deb", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, default=store.DEFAULT, help="the JSON [%(default)s]")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help=argparse.SUPPRESS)
    parser.add_argument(
        "--runs",
        type=int,
        default=3,
        help="boots of each; by the host's clock, which varies more, twice as many [%(default)s]",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=beside.processors(),
        help="boots in virtual time at the same time, of a processor and 2 GiB each [%(default)s]",
    )
    names = ", ".join(one.name for one in variants.VARIANTS)
    parser.add_argument("--only", default="", metavar="NAME,...", help="of " + names)
    parser.add_argument(
        "--until",
        choices=(WALL_UNTIL, marks.LAST),
        help=f"the mark where a boot ends [{marks.LAST}, by the host's clock {WALL_UNTIL}]",
    )
    parser.add_argument(
        "--cpu",
        default="",
        metavar="NAME",
        help="in virtual time, kept apart: one with instructions for SHA-256, for QEMU's -cpu",
    )
    parser.add_argument(
        "--kernel",
        default=KERNEL,
        help="in virtual time, kept apart; meant for one with dm-verity built in: " + KERNEL_HELP,
    )
    for kind, text in KINDS.items():
        parser.add_argument("--" + kind, action="store_true", help=text)
    parser.add_argument("--all", action="store_true", help="all of these")
    parser.add_argument(
        "--plots", action="store_true", help="only draw docs/performance.md anew, boot nothing"
    )
    sizes = ",".join(str(size) for size in grow.SIZES)
    parser.add_argument(
        "--sizes", type=numbers, default=sizes, help="for --grow, in MiB [%(default)s]"
    )
    chosen = parser.parse_args(words)
    if section(chosen) != "variants" and (
        chosen.all or any(getattr(chosen, kind) for kind in KINDS if kind != "icount")
    ):
        parser.error("--cpu and --kernel are for whole boots in virtual time")
    return chosen


def section(chosen: argparse.Namespace) -> str:
    """Where whole boots in virtual time are kept: see store.py."""
    if chosen.kernel != KERNEL:
        return "kernel"
    return "cpu" if chosen.cpu else "variants"


class Bench:
    """One call of the program."""

    def __init__(self, chosen: argparse.Namespace, machines: Machines, progress: Progress) -> None:
        self._chosen = chosen
        self._machines = machines
        self._progress = progress
        self._selected = variants.chosen([name for name in chosen.only.split(",") if name])

    def _keep(self, name: str, content: store.Section, **options: object) -> None:
        header = store.header(self._machines.guest(), **options)
        store.save(self._chosen.report, name, {"header": header, **content})

    def _boots(self, name: str, icount: bool) -> None:
        chosen = self._chosen
        kernel = self._machines.guest().kernel
        runs_of_each = chosen.runs if icount else 2 * chosen.runs
        jobs = chosen.jobs if icount else 1
        until = chosen.until or (marks.LAST if icount else WALL_UNTIL)
        options: dict[str, object] = {"clock": "icount" if icount else "wall"}
        options.update(smp=1 if icount else 2, accel="tcg" if icount else accel.best(kernel))
        options.update(memory=2048, runs=runs_of_each, jobs=jobs, until=until)
        if chosen.cpu:
            options.update(cpu=chosen.cpu)

        def after(found: "dict[str, dict[str, Figure]]") -> None:
            self._keep(name, {"variants": found}, **options)

        found = runs.interleaved(
            self._selected,
            self._machines,
            icount,
            runs_of_each,
            jobs,
            self._progress,
            until,
            after,
        )
        title = "virtual time, one processor" if icount else "the host's clock, two processors"
        tables.table(f"{title}, {runs_of_each} runs each", found)

    def native(self) -> None:
        """storage-init by itself, on this machine; it has a file of its own."""
        if self._chosen.all and os.geteuid() != 0:
            self._progress("left out, for want of root: storage-init by itself")
        else:
            native.report(store.NATIVE)

    def icount(self) -> None:
        """Whole boots in virtual time."""
        self._boots(section(self._chosen), icount=True)

    def steps(self) -> None:
        """The steps of stage 1."""
        times, jobs = self._chosen.runs, self._chosen.jobs
        found = steps.measure(self._selected, self._machines, times, jobs, self._progress)
        options = {"clock": "icount", "smp": 1, "memory": 2048, "runs": times, "jobs": jobs}
        self._keep("steps", {"variants": found}, **options)

    def wall(self) -> None:
        """Whole boots by the host's clock."""
        self._boots("wall", icount=False)

    def memory(self) -> None:
        """One sampled boot and a search for each variant."""
        until = self._chosen.until or marks.LAST
        jobs = self._chosen.jobs
        found = memory.measure(self._selected, self._machines, until, jobs, self._progress)
        self._keep("memory", {"variants": found}, clock="icount", smp=1, jobs=jobs, until=until)

    def builds(self) -> None:
        """Both ways to build, in turns."""
        times = min(self._chosen.runs, 2)
        found = builds.measure(self._machines, self._chosen.deb, times, self._progress)
        self._keep("builds", {"variants": found}, runs=times)

    def chain(self) -> None:
        """From the firmware on."""
        selected = [one for one in self._selected if one.name in chain.VARIANTS]
        times = self._chosen.runs
        found = chain.measure(selected, self._machines, times, self._progress)
        options = {"smp": 2, "mb_per_second": chain.MB_PER_SECOND, "runs": times}
        self._keep("chain", {"variants": found}, **options)

    def grow(self) -> None:
        """Against size."""
        times, sizes, jobs = self._chosen.runs, self._chosen.sizes, self._chosen.jobs
        points = grow.measure(self._machines, times, sizes, jobs, self._progress)
        options = {"clock": "icount", "smp": 1, "memory": grow.MEMORY, "runs": times, "jobs": jobs}
        self._keep("grow", {"points": points}, **options)


def draw(chosen: argparse.Namespace) -> None:
    """Write the page and its graphs from the JSON."""
    from benchmarks import page, plots  # matplotlib takes a while

    known = store.load(chosen.report)
    if not known:
        raise OSError(f"{chosen.report} is not there: run ./dev bench first")
    rows = store.load(store.NATIVE).get("rows", {})
    graphs = plots.draw(known, chosen.docs)
    (chosen.docs / "performance.md").write_text(page.page(known, rows, graphs))


def run(chosen: argparse.Namespace, progress: Progress) -> None:
    """Do what was asked for."""
    if not chosen.plots:
        kinds = [kind for kind in KINDS if chosen.all or getattr(chosen, kind)] or ["icount"]
        # what guests write stays in memory: in virtual time a slow disk shows
        if shutil.disk_usage("/dev/shm").free > 4 << 30:
            os.environ["TMPDIR"] = "/dev/shm"
        with tempfile.TemporaryDirectory(prefix=".bench-", dir=cache.home()) as directory:
            paths = (chosen.deb.resolve(), Path(directory))
            machines = Machines(*paths, progress, chosen.cpu, chosen.kernel)
            bench = Bench(chosen, machines, progress)
            for kind in kinds:
                getattr(bench, kind)()
    draw(chosen)


def main(words: Sequence[str]) -> int:
    """The program. Returns its exit status."""
    chosen = arguments(words)
    started = time.monotonic()

    def progress(text: str) -> None:
        print(f"[{time.monotonic() - started:6.1f} s] {text}", flush=True)

    for number in (signal.SIGTERM, signal.SIGINT):  # and the machines end with it
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        run(chosen, progress)
    except (MachineFailure, CommandFailed, OSError, ValueError) as error:
        print(f"{error}\nbench: failed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
