# SPDX-License-Identifier: MIT
"""The parts of a plan: attempts, the steps they consist of, and the directories steps share."""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Sequence, Tuple

    from storage_init.boot.machine import Machine
    from storage_init.boot.state import AttemptState

# One way to boot: its name, and its steps in order.
Attempt = namedtuple("Attempt", ("name", "steps"))

NEW_ROOT = "/initoverlayfs"
BOOT = "/stage1/boot"
IMAGE = "/stage1/image"
OVERLAY = "/stage1/overlay"

# Every directory on which an attempt mounts something, the last mounted first.
MOUNTS = (NEW_ROOT, OVERLAY, IMAGE, BOOT)

# Seconds to wait for another device that matches, if the first one does not hold the image.
OTHER_TIMEOUT = 5

RESCUE = "rescue"

# Added to the name of an image while it is being published, and when a newer one replaces it.
NEW = ".new"
PREVIOUS = ".previous"

# What stage 2 may call its first process: dracut's name, then those of a plain root filesystem. In
# systemd mode pre-initoverlayfs-switch-root.service names it.
INITS = ("/init", "/sbin/init", "/usr/lib/systemd/systemd")
SYSTEMD_INITS = ("/init",)


class Step:
    """An action of an attempt. The planner makes it, the executor runs it.

    break_point: the name by which rd.initoverlayfs.break= stops a boot before it, "" if none.
    """

    break_point = ""

    def describe(self) -> str:
        """Return what the step does, as a line of `storage-init --plan`."""
        raise NotImplementedError

    def waits(self) -> "List[Tuple[str, int]]":
        """Return what the step waits for, and for how many seconds at most.

        Waits of the same name are one wait, however many steps have them.
        """
        return []

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        """Do it. Raises OSError or BootFailure if the attempt cannot go on."""
        raise NotImplementedError


def describe(attempts: "Sequence[Attempt]", at: "Tuple[str, int]" = ("", 0)) -> "List[str]":
    """Return the plan for people: a line for each attempt, an indented line for each step.

    at: the attempt and the number of its step to mark with an arrow.
    """
    lines = []
    for attempt in attempts:
        lines.append("attempt " + attempt.name + ":")
        for number, step in enumerate(attempt.steps):
            arrow = "> " if at == (attempt.name, number) else "  "
            lines.append(arrow + step.describe())
    return lines
