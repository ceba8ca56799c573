# SPDX-License-Identifier: MIT
"""Steps that stop an attempt: it is not possible, or somebody at the console decides."""

from storage_init.boot import prompt
from storage_init.boot.step import Step, describe
from storage_init.kernel.failure import BootFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from storage_init.boot.machine import Machine
    from storage_init.boot.state import AttemptState


class Refuse(Step):
    """The only step of an attempt that the settings rule out."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def describe(self) -> str:
        return "not possible: " + self.reason

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        raise BootFailure(self.reason)


class OpenPrompt(Step):
    """Open the rescue prompt and wait, without a deadline, for whoever sits at the console.

    before: the step that follows, None if no other way to boot is left.
    """

    def __init__(self, before: "Optional[Step]" = None) -> None:
        self.before = before

    def describe(self) -> str:
        if self.before is None:
            return "open the rescue prompt"
        return "open the rescue prompt, before: " + self.before.describe()

    def run(self, machine: "Machine", attempt: "AttemptState") -> None:
        last = self.before is None
        why = "no way to boot is left"
        if self.before is not None:
            why = "before: " + self.before.describe()
        lines = describe(attempt.plan, attempt.position)
        answered = prompt.ask(machine.kernel, machine.log, machine.children, why, lines, last)
        if last and not answered:
            raise BootFailure("the prompt was left")
