# SPDX-License-Identifier: MIT
"""The start of storage-init: PID 1 boots, any other process has a command line.

Each imports its own modules only, since importing them is half of what PID 1 itself computes.
"""

from storage_init.kernel import compat
from storage_init.kernel.calls import Kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List


def main(arguments: "List[str]") -> None:
    """Run storage-init. Returns for a command only, and may end with SystemExit."""
    kernel = Kernel(compat.syscalls)
    if kernel.getpid() == 1:
        from storage_init.boot import pid1

        pid1.run(kernel, arguments)
    from storage_init import command_line

    command_line.run(kernel, arguments)
