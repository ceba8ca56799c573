# SPDX-License-Identifier: MIT
"""Boot the variants in turns, store the figures as JSON, and write docs/performance.md."""

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

# The measurements that can be selected, in the order in which they run.
KINDS = {
    "native": "measure storage-init alone, like ./dev bench-native",
    "icount": "measure whole boots in virtual time, one processor (the default)",
    "steps": "measure the steps of stage 1 in virtual time",
    "wall": "measure whole boots in wall-clock time, two processors",
    "builds": "measure the time to build the images",
    "chain": "measure plain and file from the firmware on, from a slow disk",
    "grow": "measure the time to the first systemd by the size of unused content",
    "memory": "measure memory in use, memory needed and bytes read",
}

# In wall-clock time, a boot to the last mark mainly measures the load of the host.
WALL_UNTIL = "first_systemd"


def numbers(text: str) -> list[int]:
    """Parse comma-separated numbers. Raises ValueError."""
    return [int(word) for word in text.split(",")]


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Parse and check the command line. Exits with status 2 if it is invalid."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--deb", type=Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--report",
        type=Path,
        default=store.DEFAULT,
        help="JSON file with the figures [%(default)s]",
    )
    parser.add_argument("--docs", type=Path, default=Path("docs"), help=argparse.SUPPRESS)
    parser.add_argument(
        "--runs",
        type=int,
        default=3,
        help="boots of each variant; twice as many with --wall, which varies more [%(default)s]",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=beside.processors(),
        help="concurrent boots in virtual time; each requires a processor and 2 GiB [%(default)s]",
    )
    names = ", ".join(one.name for one in variants.VARIANTS)
    parser.add_argument(
        "--only", default="", metavar="NAME,...", help="measure only some variants of " + names
    )
    parser.add_argument(
        "--until",
        choices=(WALL_UNTIL, marks.LAST),
        help=f"the mark where a boot ends [{marks.LAST}, with --wall {WALL_UNTIL}]",
    )
    parser.add_argument(
        "--cpu",
        default="",
        metavar="NAME",
        help="boot with this QEMU processor, for example one that has SHA-256 instructions;"
        " virtual time only, stored in a section of its own",
    )
    parser.add_argument(
        "--kernel",
        default=KERNEL,
        help="boot with this kernel, for example one that has dm-verity built in; virtual time"
        " only, stored in a section of its own: " + KERNEL_HELP,
    )
    for kind, text in KINDS.items():
        parser.add_argument("--" + kind, action="store_true", help=text)
    parser.add_argument("--all", action="store_true", help="run all of these measurements")
    parser.add_argument(
        "--plots",
        action="store_true",
        help="only rewrite docs/performance.md and its graphs, without booting",
    )
    sizes = ",".join(str(size) for size in grow.SIZES)
    parser.add_argument(
        "--sizes", type=numbers, default=sizes, help="sizes for --grow in MiB [%(default)s]"
    )
    chosen = parser.parse_args(words)
    if section(chosen) != "variants" and (
        chosen.all or any(getattr(chosen, kind) for kind in KINDS if kind != "icount")
    ):
        parser.error("--cpu and --kernel apply only to whole boots in virtual time")
    return chosen


def section(chosen: argparse.Namespace) -> str:
    """Return the section of the JSON for whole boots in virtual time: see store.py."""
    if chosen.kernel != KERNEL:
        return "kernel"
    return "cpu" if chosen.cpu else "variants"


class Bench:
    """Run the measurements that the command line selects, one method for each of KINDS."""

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
        title = "virtual time, one processor" if icount else "wall clock, two processors"
        tables.table(f"{title}, {runs_of_each} runs each", found)

    def native(self) -> None:
        """Measure storage-init alone, on this machine; write build/native.json.

        Raises PermissionError without root, but skips the measurement with --all.
        """
        if self._chosen.all and os.geteuid() != 0:
            self._progress("skipping --native, which requires root")
        else:
            native.report(store.NATIVE)

    def icount(self) -> None:
        """Measure whole boots in virtual time."""
        self._boots(section(self._chosen), icount=True)

    def steps(self) -> None:
        """Measure the steps of stage 1."""
        times, jobs = self._chosen.runs, self._chosen.jobs
        found = steps.measure(self._selected, self._machines, times, jobs, self._progress)
        options = {"clock": "icount", "smp": 1, "memory": 2048, "runs": times, "jobs": jobs}
        self._keep("steps", {"variants": found}, **options)

    def wall(self) -> None:
        """Measure whole boots in wall-clock time."""
        self._boots("wall", icount=False)

    def memory(self) -> None:
        """Measure memory: a sampled boot and a search for each variant."""
        until = self._chosen.until or marks.LAST
        jobs = self._chosen.jobs
        found = memory.measure(self._selected, self._machines, until, jobs, self._progress)
        self._keep("memory", {"variants": found}, clock="icount", smp=1, jobs=jobs, until=until)

    def builds(self) -> None:
        """Measure both builds, which take turns."""
        times = min(self._chosen.runs, 2)
        found = builds.measure(self._machines, self._chosen.deb, times, self._progress)
        self._keep("builds", {"variants": found}, runs=times)

    def chain(self) -> None:
        """Measure boots from the firmware on."""
        selected = [one for one in self._selected if one.name in chain.VARIANTS]
        times = self._chosen.runs
        found = chain.measure(selected, self._machines, times, self._progress)
        options = {"smp": 2, "mb_per_second": chain.MB_PER_SECOND, "runs": times}
        self._keep("chain", {"variants": found}, **options)

    def grow(self) -> None:
        """Measure the time to the first systemd by the size of unused content."""
        times, sizes, jobs = self._chosen.runs, self._chosen.sizes, self._chosen.jobs
        points = grow.measure(self._machines, times, sizes, jobs, self._progress)
        options = {"clock": "icount", "smp": 1, "memory": grow.MEMORY, "runs": times, "jobs": jobs}
        self._keep("grow", {"points": points}, **options)


def draw(chosen: argparse.Namespace) -> None:
    """Write the page and its graphs from the JSON. Raises OSError if there is none."""
    from benchmarks import page, plots  # not at the top: importing matplotlib is slow

    known = store.load(chosen.report)
    if not known:
        raise OSError(f"{chosen.report} does not exist: run ./dev bench first")
    rows = store.load(store.NATIVE).get("rows", {})
    graphs = plots.draw(known, chosen.docs)
    (chosen.docs / "performance.md").write_text(page.page(known, rows, graphs))


def run(chosen: argparse.Namespace, progress: Progress) -> None:
    """Run the selected measurements, then write the page."""
    if not chosen.plots:
        kinds = [kind for kind in KINDS if chosen.all or getattr(chosen, kind)] or ["icount"]
        # Keep what guests write in memory: in virtual time a slow disk distorts the figures.
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
    """Run the program; return its exit status."""
    chosen = arguments(words)
    started = time.monotonic()

    def progress(text: str) -> None:
        print(f"[{time.monotonic() - started:6.1f} s] {text}", flush=True)

    # Exit by an exception, so that the context managers end the machines.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        run(chosen, progress)
    except (MachineFailure, CommandFailed, OSError, ValueError) as error:
        print(f"{error}\nbench: failed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
