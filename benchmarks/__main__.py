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

from harness import cache
from harness.guest import Progress
from harness.privilege import CommandFailed
from harness.vm import MachineFailure

from benchmarks import runs, store, tables, variants
from benchmarks.statistics import Figure
from benchmarks.variants import Machines


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--deb", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, default=store.DEFAULT, help="the JSON [%(default)s]")
    parser.add_argument("--runs", type=int, default=3, help="boots of each [%(default)s]")
    names = ", ".join(one.name for one in variants.VARIANTS)
    parser.add_argument("--only", default="", metavar="NAME,...", help="of " + names)
    parser.add_argument(
        "--until",
        choices=("first_systemd", "multi_user"),
        default="multi_user",
        help="the mark where a boot ends [%(default)s]",
    )
    clock = parser.add_mutually_exclusive_group()
    clock.add_argument("--icount", action="store_true", help="in virtual time, one processor")
    clock.add_argument("--wall", action="store_true", help="by the host's clock, two processors")
    return parser.parse_args(words)


def boots(chosen: argparse.Namespace, machines: Machines, progress: Progress, icount: bool) -> None:
    """Whole boots by one clock, printed and kept after each round."""
    selected = variants.chosen([name for name in chosen.only.split(",") if name])
    options = {"clock": "icount" if icount else "wall", "smp": 1 if icount else 2}
    header = store.header(
        machines.guest(), **options, memory=2048, runs=chosen.runs, until=chosen.until
    )

    def keep(found: "dict[str, dict[str, Figure]]") -> None:
        section: store.Section = {"header": header, "variants": found}
        store.save(chosen.report, "variants" if icount else "wall", section)

    found = runs.interleaved(selected, machines, icount, chosen.runs, progress, chosen.until, keep)
    title = "virtual time, one processor" if icount else "the host's clock, two processors"
    tables.table(f"{title}, {chosen.runs} runs each", found)


def main(words: Sequence[str]) -> int:
    """The program. Returns its exit status."""
    chosen = arguments(words)
    started = time.monotonic()

    def progress(text: str) -> None:
        print(f"[{time.monotonic() - started:6.1f} s] {text}", flush=True)

    # what guests write stays in memory: in virtual time a slow disk shows
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and the machine ends with it
    if shutil.disk_usage("/dev/shm").free > 4 << 30:
        os.environ["TMPDIR"] = "/dev/shm"
    try:
        with tempfile.TemporaryDirectory(prefix=".bench-", dir=cache.home()) as directory:
            machines = Machines(chosen.deb.resolve(), Path(directory), progress)
            if chosen.wall:
                boots(chosen, machines, progress, icount=False)
            else:
                boots(chosen, machines, progress, icount=True)
    except (MachineFailure, CommandFailed, OSError, ValueError) as error:
        print(f"{error}\nbench: failed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
