# SPDX-License-Identifier: MIT
"""Child processes: started, waited for with a deadline, always reaped."""

from storage_init.kernel.abi import ETIMEDOUT
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Optional

    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.log import Log


_A_WHILE = 60000


class Children:
    """Runs functions beside this process. As PID 1 it also reaps whatever else dies."""

    def __init__(self, kernel: "Kernel", log: "Log") -> None:
        self._kernel = kernel
        self._log = log
        self._ended: Dict[int, Optional[int]] = {}  # pid -> wait status, None while it runs
        self.fd = kernel.signalfd_child()  # readable when one has ended

    def start(self, work: "Callable[[], None]") -> int:
        """Run `work` in a forked child and return its pid. Its exit status is 1 if work raised."""
        pid = self._kernel.fork()
        if pid:
            self._ended[pid] = None
            return pid
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            self._log.warning(reason(error))
        finally:
            self._kernel.exit(code)
        return 0

    def reap(self) -> None:
        """Reap those that have ended; `fd` is then readable when another one has. Does not wait."""
        self._kernel.drain(self.fd)
        while True:
            child = self._kernel.reap()
            if child is None:
                return
            if child[0] in self._ended:
                self._ended[child[0]] = child[1]

    def status(self, pid: int) -> "Optional[int]":
        """The wait status of a child of `start`; None for one that has not been reaped."""
        return self._ended[pid]

    def wait(self, pid: int, deadline: "Optional[int]") -> int:
        """The wait status of a child of `start`; OSError(ETIMEDOUT) at the deadline (clock_ms).

        None: there is no deadline, since a human being decides.
        """
        while True:
            self.reap()
            status = self._ended[pid]
            if status is not None:
                return status
            left = _A_WHILE if deadline is None else deadline - self._kernel.clock_ms()
            if left <= 0:
                raise OSError(ETIMEDOUT, "wait for child process {}: timed out".format(pid))
            # A signal is pending until the signalfd is read, so a death in between is not missed.
            self._kernel.poll([self.fd], left)

    def close(self) -> None:
        """Reap those that have ended, and listen no more."""
        self.reap()
        self._kernel.close(self.fd)
