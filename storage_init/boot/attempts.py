# SPDX-License-Identifier: MIT
"""The executor: takes the attempts of a plan, one after the other, until one works."""

from storage_init.boot import prompt
from storage_init.boot.search import Missing
from storage_init.boot.step import MOUNTS, RESCUE
from storage_init.boot.steps import Steps
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from storage_init.boot.step import Attempt


class Boot(Steps):
    """One boot in progress."""

    def take(self, attempts: "List[Attempt]") -> bool:
        """Take one attempt after the other until one works; whether one did.

        Does not return from one that works if its last step is exec_init. Of one that fails,
        nothing stays mounted. Raises prompt.Retry when that was asked for at a prompt.
        """
        self._attempts = attempts
        for attempt in attempts:
            if self._succeeds(attempt):
                return True
            if self._left:
                break
        return False

    def _succeeds(self, attempt: "Attempt") -> bool:
        while True:
            try:
                self._run(attempt)
                return True
            except prompt.Retry:
                self._undo()
                raise
            except Exception as error:  # MemoryError too: the next attempt may need less
                if isinstance(error, Missing):
                    self._log.debug(attempt.name + ": " + str(error))
                else:
                    self._log.error(attempt.name + ": " + reason(error))
                if self._left:
                    return False
                if attempt.name != RESCUE or self._at[1] == 0:
                    self._undo()
                    return False
                # The prompt was there, and what it prepared does not boot: that stays, and whoever
                # sits there gets another go.

    def _undo(self) -> None:
        self._let_go()
        for target in MOUNTS:
            try:
                self.detach((target,))
            except OSError as error:
                self._log.warning(reason(error))

    def _run(self, attempt: "Attempt") -> None:
        self._report = {"mode": self._mode, "attempt": attempt.name}
        self._image = None
        self._read_only = False
        for number, step in enumerate(attempt.steps):
            self._at = (attempt.name, number)
            self._log.debug("step: " + step.text)
            getattr(self, step.action)(*step.arguments)
