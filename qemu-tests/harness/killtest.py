# SPDX-License-Identifier: MIT
"""Runs that are ended at random moments, and what boots then: ./dev killtest.

initoverlayfs-install runs again and again on a boot filesystem (killround.py), and each run is
ended. Then a machine boots with the mini-initramfs that a bootloader finds there and with that
filesystem, and initoverlayfs-install --verify says what it thinks of it (killcase.py).
"""

import argparse
import itertools
import json
import random
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import accel, uml
from harness.guest import guest as build_guest
from harness.killcase import Case
from harness.killround import Round
from harness.tiny import Tiny

KINDS = ("ext4", "vfat")
# runs in one go
ROUND = 10


def cases(
    tiny: Tiny,
    count: int,
    seed: str,
    kinds: Sequence[str] = KINDS,
    broken: bool = False,
    workers: int = 2,
) -> Iterator[Case]:
    """So many, in rounds, in turn on each kind of filesystem; `workers` rounds side by side."""
    size = min(ROUND, -(-count // len(kinds)))
    rounds = [(first, min(size, count - first)) for first in range(0, count, size)]

    stopping = threading.Event()

    def one(number: int) -> list[Case]:
        first, some = rounds[number]
        if stopping.is_set():
            return []
        with tempfile.TemporaryDirectory(prefix="killtest-") as directory:
            kind = kinds[number % len(kinds)]
            chance = random.Random(f"{seed} {number}")
            done = Round(tiny.at(Path(directory)), kind, some, chance, broken)
            return list(itertools.takewhile(lambda _: not stopping.is_set(), done.cases(first)))

    with ThreadPoolExecutor(workers) as pool:
        try:
            for found in pool.map(one, range(len(rounds))):
                yield from found
        finally:
            stopping.set()  # what is under way ends with its current boot


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(
        prog="./dev killtest",
        description="End installations at random moments, and boot what is there then.",
    )
    parser.add_argument("-n", type=int, default=200, help="how many installations [%(default)s]")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write all of it as JSON")
    parser.add_argument("--seed", default=str(random.randrange(1 << 32)), help="of an earlier run")
    parser.add_argument("--deb", type=Path, required=True, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    lacking = uml.missing()
    if lacking:
        sys.exit("killtest: " + lacking)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    guest = build_guest(chosen.deb, verity=True)
    done: list[Case] = []
    with tempfile.TemporaryDirectory() as directory:
        tiny = Tiny(guest, Path(directory), accel.best(guest.kernel))
        print(f"seed {chosen.seed}", flush=True)
        for case in cases(tiny, chosen.n, chosen.seed):
            done.append(case)
            words = (case.number, case.filesystem, case.action, case.kind, case.when, case.booted)
            print(*words, "" if case.ok else "FAILED", flush=True)
            if not case.ok:
                print(case.verify, case.detail, sep="\n", flush=True)
            if chosen.report:
                chosen.report.write_text(json.dumps(_report(chosen, done), indent=1) + "\n")
    print(json.dumps(_report(chosen, done)["summary"]))
    return 0 if done and all(case.ok for case in done) else 1


def _report(chosen: argparse.Namespace, done: list[Case]) -> dict[str, Any]:
    summary: dict[str, Any] = {"n": len(done), "failures": sum(not case.ok for case in done)}
    for case in done:
        key = f"{case.filesystem} {case.action} {case.kind} {case.booted}"
        summary[key] = summary.get(key, 0) + 1
    return {"seed": chosen.seed, "summary": summary, "cases": [asdict(case) for case in done]}


if __name__ == "__main__":
    sys.exit(main())
