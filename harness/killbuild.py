# SPDX-License-Identifier: MIT
"""Kill initoverlayfs-install in a Debian tree while dracut builds, and check the next run.

SIGKILL goes to the program alone, so that dracut keeps running, or to its process group. Neither
reaches dracut's children, which are in sessions of their own.
"""

import random
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.debian import INSTALL, attempt, complaints

# Run $1, kill it after $2 seconds, or its process group if $3 is a minus, and run $1 again. Each
# line "--- TIME PART" starts a part of the report.
_SCRIPT = """
state() {
    echo "--- $1 boot"; sha256sum /boot/init*
    echo "--- $1 work"; find /var/cache/initoverlayfs /var/tmp -mindepth 1 -maxdepth 2
    echo "--- $1 mounts"; cat /proc/self/mounts
    echo "--- $1 processes"; builders
}
builders() {
    alive $(grep -lE '^(dracut|mkfs|cpio|zstd)' /proc/[0-9]*/comm 2>/dev/null)
}
alive() {  # zombies have no command line
    for process; do grep -qs . "${process%comm}cmdline" && echo "$process"; done
}
state before
setsid $1 >/tmp/output 2>&1 &
sleep "$2"; kill -9 "$3$!"; wait $!; status=$?
echo "--- killed status"; echo $status
state killed
before=$(builders)
: >/tmp/output  # drop the output of the killed run, so that grep sees only that of the next one
$1 >/tmp/output 2>&1 &
until grep -q building /tmp/output || ! kill -0 $!; do sleep 0.1; done
echo "--- survivors processes"; alive $before
wait $!; status=$?
echo "--- after output"; cat /tmp/output
echo "--- after status"; echo $status
state after
echo "--- verify output"; initoverlayfs-install --verify 2>&1; status=$?
echo "--- verify status"; echo $status
"""


@dataclass
class Kill:
    """A run that was killed, and the next one.

    when, group: time and target of the signal. running: number of builders that survived it. wrong:
    the faults found, empty if none. output: the report of the script.
    """

    number: int
    when: str
    group: bool
    running: int = 0
    wrong: str = ""
    output: str = ""

    @property
    def ok(self) -> bool:
        """True if the killed run changed nothing, and the next one succeeded and cleaned up."""
        return not self.wrong


def kills(tree: Path, seconds: float, count: int, chance: random.Random) -> Iterator[Kill]:
    """Kill `count` runs at random moments, and yield each; every second one with its process group.

    seconds: measured duration of a run. If a run ends before the signal, the machine was busier
    when the duration was measured, so halve the duration and repeat the run.
    """
    number = 0
    while number < count:
        share = chance.uniform(0.05, 0.9)
        kill = Kill(number, f"after {100 * share:.0f} % of the time", number % 2 == 1)
        words = shlex.join([INSTALL, f"{share * seconds:.2f}", "-" if kill.group else ""])
        kill.output = attempt(tree, f"set -- {words}\n{_SCRIPT}")[1]
        if "\n--- killed status\n0\n" in kill.output:
            seconds /= 2
            continue
        _judge(kill)
        yield kill
        number += 1


def _judge(kill: Kill) -> None:
    found = {}
    for part in ("\n" + kill.output).split("\n--- ")[1:]:
        name, _, text = part.partition("\n")
        found[name] = text.splitlines()
    before, after = found["before boot"], found["after boot"]
    kill.running = len(found["killed processes"])
    faults = {
        "run failed before it was killed": found["killed status"] != ["137"],
        "killed run changed /boot": found["killed boot"] != before,
        "children of the killed run survived": found["survivors processes"] != [],
        "next run failed": found["after status"] != ["0"] or _failures(found["after output"]),
        "next run built a different pair": after != before,
        "--verify failed": found["verify status"] != ["0"],
        "leftover files": found["after work"] != found["before work"],
        "leftover mounts": found["after mounts"] != found["before mounts"],
        "leftover processes": found["after processes"] != [],
    }
    kill.wrong = ", ".join(text for text, wrong in faults.items() if wrong)


def _failures(output: list[str]) -> bool:
    return any(line.startswith("initoverlayfs-install") for line in complaints("\n".join(output)))
