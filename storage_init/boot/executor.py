# SPDX-License-Identifier: MIT
"""The executor: takes the attempts of a plan, one after the other, until one works."""

from storage_init.boot import prompt
from storage_init.boot.machine import StillMissing
from storage_init.boot.state import AttemptState
from storage_init.boot.step import MOUNTS, OTHER_TIMEOUT, RESCUE
from storage_init.boot.steps.leave import detach
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

    from storage_init.boot.machine import Machine
    from storage_init.boot.step import Attempt
    from storage_init.devices.finder import Device

# Devices that one attempt is made with.
_MAX_MATCHES = 16


def take(machine: "Machine", attempts: "List[Attempt]") -> bool:
    """Take one attempt after the other until one works. Return whether one did.

    Does not return from one that works if its last step is ExecInit. Nothing stays mounted of one
    that fails. Raises prompt.Retry if somebody at a prompt asked for it.
    """
    for attempt in attempts:
        if _succeeds(machine, attempts, attempt):
            return True
        if machine.root_switched:
            break
    return False


def _succeeds(machine: "Machine", attempts: "List[Attempt]", attempt: "Attempt") -> bool:
    tried: List[str] = []
    left = OTHER_TIMEOUT * 1000
    other: Optional[Device] = None
    while True:
        state = AttemptState(attempts, attempt.name, machine.mode, other)
        try:
            _run(machine, attempt, state)
            return True
        except prompt.Retry:
            _undo(machine, state)
            raise
        except Exception as error:  # MemoryError too: the next attempt may need less
            if isinstance(error, StillMissing):
                machine.log.debug(attempt.name + ": " + reason(error))
            else:
                machine.log.error(attempt.name + ": " + reason(error))
            if machine.root_switched:
                return False
            if attempt.name != RESCUE or state.position[1] == 0:
                _undo(machine, state)
                start = machine.kernel.clock_ms()
                other = _next_match(machine, state, tried, left)
                left -= machine.kernel.clock_ms() - start
                if other is None:
                    return False
            # The prompt was there, and what it prepared does not boot: that stays mounted, and
            # whoever sits there is asked again.


def _next_match(
    machine: "Machine", state: AttemptState, tried: "List[str]", left: int
) -> "Optional[Device]":
    """Return another device to make the attempt with, None if there is none or none is allowed.

    tried: the paths of those that it was made with, to which this one is added. If the device did
    not hold the image, waits for another one, `left` milliseconds at most.
    """
    if state.device is None or not state.each_match or len(tried) == _MAX_MATCHES:
        return None
    tried.append(state.device.path)
    wait = 0 if "image" in state.report else max(left, 0)
    try:
        return machine.finder.find_other(state.each_match, tried, wait)
    except (OSError, MemoryError) as error:
        machine.log.warning(reason(error))
        return None


def _run(machine: "Machine", attempt: "Attempt", state: AttemptState) -> None:
    for number, step in enumerate(attempt.steps):
        state.take_step(number)
        if machine.log.is_verbose:
            machine.log.debug("step: " + step.describe())
        step.run(machine, state)


def _undo(machine: "Machine", state: AttemptState) -> None:
    state.release_backing(machine.kernel, machine.log)
    for target in MOUNTS:
        try:
            detach(machine.kernel, target)
        except OSError as error:
            machine.log.warning(reason(error))
