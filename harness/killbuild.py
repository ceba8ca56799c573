# SPDX-License-Identifier: MIT
"""initoverlayfs-install killed while dracut works for it, in a Debian tree, and what the next does.

SIGKILL goes to the program alone, which leaves dracut running, or to its process group. What dracut
starts is in sessions of its own either way.
"""

import random
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.debian import INSTALL, attempt, complaints

# $1 is run, and killed after $2 seconds with all of its group if $3 is a minus. Then it is
# run again. Between lines that start with three dashes, what there is.
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
alive() {  # what only its parent knows of has no command line
    for process; do grep -qs . "${process%comm}cmdline" && echo "$process"; done
}
state before
setsid $1 >/tmp/output 2>&1 &
sleep "$2"; kill -9 "$3$!"; wait $!; status=$?
echo "--- killed status"; echo $status
state killed
before=$(builders)
: >/tmp/output  # what the killed run said must not be taken for the next one's
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
    """A run that was killed, and the next one. wrong: what there is to find fault with."""

    number: int
    when: str
    group: bool
    running: int = 0
    wrong: str = ""
    output: str = ""

    @property
    def ok(self) -> bool:
        """Whether the next run found all as it was, and made good."""
        return not self.wrong


def kills(tree: Path, seconds: float, count: int, chance: random.Random) -> Iterator[Kill]:
    """So many, each of a run that would take so many seconds, in turn with and without group.

    A run that has ended before does not count: the machine was busier when that was measured.
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
        "it was not killed": found["killed status"] != ["137"],
        "/boot was touched": found["killed boot"] != before,
        "what it had started goes on beside the next run": found["survivors processes"] != [],
        "the next run failed": found["after status"] != ["0"] or _failures(found["after output"]),
        "the pair is another one": after != before,
        "--verify finds fault": found["verify status"] != ["0"],
        "files are left": found["after work"] != found["before work"],
        "mounts are left": found["after mounts"] != found["before mounts"],
        "processes are left": found["after processes"] != [],
    }
    kill.wrong = ", ".join(text for text, wrong in faults.items() if wrong)


def _failures(output: list[str]) -> bool:
    return any(line.startswith("initoverlayfs-install") for line in complaints("\n".join(output)))
