# SPDX-License-Identifier: MIT
"""Interrupt installations and rollbacks at random moments, and boot the result: ./dev killtest.

initoverlayfs-install runs several times on a boot filesystem, and each run is interrupted
(killround.py). After each run, a machine boots from that filesystem, with the mini-initramfs that a
boot loader finds there, and initoverlayfs-install --verify checks the pairs (killcase.py). Further
runs are killed while dracut builds (killbuild.py).
"""

import argparse
import json
import random
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional, Union

from harness import beside, debian, killbuild, platforms, scratch, uml
from harness.beside import Check
from harness.killbuild import Kill
from harness.killcase import Case
from harness.killround import Round
from harness.tiny import Tiny

KINDS = ("ext4", "vfat")
# Interrupted runs on one filesystem.
ROUND = 10


def cases(
    tiny: Tiny,
    count: int,
    seed: str,
    kinds: Sequence[str] = KINDS,
    broken: bool = False,
    workers: int = 2,
) -> Iterator[Case]:
    """Yield `count` cases, from rounds on alternating kinds of filesystems.

    broken: see Round. workers: number of rounds that run in parallel.
    """
    size = min(ROUND, -(-count // len(kinds)))
    rounds = [(first, min(size, count - first)) for first in range(0, count, size)]

    def one(number: int, check: Check) -> list[Case]:
        first, some = rounds[number]
        with tempfile.TemporaryDirectory(prefix="killtest-", dir=scratch.home()) as directory:
            kind = kinds[number % len(kinds)]
            chance = random.Random(f"{seed} {number}")
            done = []
            for case in Round(tiny.at(Path(directory)), kind, some, chance, broken).cases(first):
                check()
                done.append(case)
            return done

    for _, found in beside.each(one, range(len(rounds)), workers):
        yield from found


def builds(deb: Path, count: int, seed: str) -> Iterator[Kill]:
    """Yield `count` runs that are killed while they build, in a Debian tree."""
    with debian.tree("killtest-tree", deb) as tree:
        seconds = debian.small_pair(tree)
        yield from killbuild.kills(tree, seconds, count, random.Random(f"{seed} builds"))


def main() -> int:
    """Run the test, and print a line for each run. Return the exit status: 1 for any failure."""
    parser = argparse.ArgumentParser(
        prog="./dev killtest",
        description="End installations and rollbacks at random moments, and boot what is there"
        " then. For each twenty of them, one more is killed while it builds.",
    )
    parser.add_argument("-n", type=int, default=200, help="how many runs [%(default)s]")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write all of it as JSON")
    parser.add_argument("--seed", default=str(random.randrange(1 << 32)), help="of an earlier run")
    parser.add_argument("--deb", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--storage-init", type=Path, required=True, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    lacking = uml.missing()
    if lacking:
        sys.exit("killtest: " + lacking)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    report = _Report(chosen.seed, chosen.report)
    with tempfile.TemporaryDirectory() as directory:
        tiny = Tiny(platforms.user_mode(chosen.storage_init, Path(directory)), Path(directory))
        print(f"seed {chosen.seed}", flush=True)
        for case in cases(tiny, chosen.n, chosen.seed):
            words = (case.filesystem, case.action, case.kind, case.when, case.booted)
            report.add(case, *words)
            if not case.ok:
                print(case.verify, case.detail, sep="\n", flush=True)
    for kill in builds(chosen.deb, -(-chosen.n // 20), chosen.seed):
        report.add(
            kill, "build", "group" if kill.group else "process", "kill", kill.when, kill.wrong
        )
        if not kill.ok:
            print(kill.output, flush=True)
    print(json.dumps(report.summary))
    return 0 if report.done and all(one.ok for one in report.done) else 1


class _Report:
    """Print a line for each run, and write the report."""

    def __init__(self, seed: str, path: Optional[Path]) -> None:
        self.done: list[Union[Case, Kill]] = []
        self.summary: dict[str, Any] = {"n": 0, "failures": 0}
        self._seed = seed
        self._path = path

    def add(
        self, one: Union[Case, Kill], what: str, how: str, end: str, when: str, came: str
    ) -> None:
        """Report a run. The summary counts runs whose words are equal, `when` excepted."""
        print(one.number, what, how, end, when, came, "" if one.ok else "FAILED", flush=True)
        self.done.append(one)
        self.summary["n"] += 1
        self.summary["failures"] += not one.ok
        key = f"{what} {how} {end} {came}".rstrip()
        self.summary[key] = self.summary.get(key, 0) + 1
        if self._path:
            cases = [asdict(other) for other in self.done]
            report = {"seed": self._seed, "summary": self.summary, "cases": cases}
            self._path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
