# SPDX-License-Identifier: MIT
"""Opening the rescue prompt: PID 1 starts an interpreter on the console and waits for it.

The interpreter is this binary under the name `micropython`. rescue.py has its functions.
"""

import json

from storage_init.kernel.abi import O_NOCTTY, O_RDWR
from storage_init.kernel.compat import MICROPYTHON
from storage_init.kernel.failure import BootFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List

    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.children import Children
    from storage_init.kernel.log import Log

CONSOLE = "/dev/console"
# PID 1 writes STATE for the prompt: {"why": str, "plan": [line, ...], "last": bool}. The prompt
# writes CHANGES for PID 1: {name: text} of the settings to change.
STATE = "/run/initoverlayfs/prompt.json"
CHANGES = "/run/initoverlayfs/changes.json"

# Exit statuses of the interpreter.
GO = 64
RETRY = 65

_PROGRAM = """\
import sys
sys.path[:] = ['.frozen']
from storage_init.boot.rescue import *
welcome()
"""


class Retry(Exception):
    """Somebody at the prompt wants the boot to start over, with these settings changed."""

    def __init__(self, changes: "Dict[str, str]") -> None:
        self.changes = changes


def ask(
    kernel: "Kernel", log: "Log", children: "Children", why: str, plan: "List[str]", last: bool
) -> bool:
    """Open the prompt and wait, without a deadline, until the person there leaves it.

    why, plan: shown there. last: no attempt follows. Returns whether to go on, and False if the
    prompt ended in any other way. Raises Retry, OSError without a console, BootFailure without
    MicroPython.
    """
    if not MICROPYTHON:
        raise BootFailure("the rescue prompt: only MicroPython has it")
    state = {"why": why, "plan": plan, "last": last}
    kernel.mkdir(STATE[: STATE.rfind("/")])
    kernel.write_file(STATE, json.dumps(state).encode())
    kernel.write_file(CHANGES, b"{}")
    console = kernel.open(CONSOLE, O_RDWR | O_NOCTTY)
    try:
        log.info("rescue prompt on {}: {}".format(CONSOLE, why))
        pid = children.start(lambda: _become(kernel, console))
    finally:
        kernel.close(console)
    status = children.wait(pid, None)
    if status == RETRY << 8:
        raise Retry(_changes(kernel))
    return status == GO << 8


def _changes(kernel: "Kernel") -> "Dict[str, str]":
    try:
        found = json.loads(kernel.read_text(CHANGES))
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: found[name] for name in found if isinstance(found[name], str)}


def _become(kernel: "Kernel", console: int) -> None:
    kernel.take_terminal(console)
    line = ["micropython", "-X", "heapsize=1M", "-i", "-c", _PROGRAM]
    kernel.execve("/proc/self/exe", line, [b"TERM=linux"])
