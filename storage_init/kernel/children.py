# SPDX-License-Identifier: MIT
"""Start child processes, wait for them with a deadline, and reap them."""

from storage_init.kernel.abi import ETIMEDOUT
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Optional

    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.log import Log

# Milliseconds between two polls of a wait without a deadline.
_POLL_INTERVAL = 60000


class Children:
    """Run functions in forked children. As PID 1, reap orphans as well."""

    def __init__(self, kernel: "Kernel", log: "Log") -> None:
        self._kernel = kernel
        self._log = log
        self._ended: Dict[int, Optional[int]] = {}  # pid -> wait status, None while it runs
        self.fd = kernel.signalfd_child()  # readable if a child has ended

    def start(self, work: "Callable[[], None]") -> int:
        """Run `work` in a forked child and return its pid. It exits with 1 if `work` raises."""
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
        """Reap the children that have ended, and clear `fd`. Does not wait."""
        self._kernel.drain(self.fd)
        while True:
            child = self._kernel.reap()
            if child is None:
                return
            pid, status = child
            if pid in self._ended:
                self._ended[pid] = status

    def status(self, pid: int) -> "Optional[int]":
        """Return the wait status of a child of `start`, or None if it has not been reaped."""
        return self._ended[pid]

    def wait(self, pid: int, deadline: "Optional[int]") -> int:
        """Wait for a child of `start` and return its wait status.

        deadline: milliseconds of clock_ms, at which OSError(ETIMEDOUT) is raised; None to wait for
        a person without a limit.
        """
        while True:
            self.reap()
            status = self._ended[pid]
            if status is not None:
                return status
            left = _POLL_INTERVAL if deadline is None else deadline - self._kernel.clock_ms()
            if left <= 0:
                raise OSError(ETIMEDOUT, "wait for child process {}: timed out".format(pid))
            # SIGCHLD stays pending until the signalfd is read. So a child that ends between reap
            # and poll makes poll return.
            self._kernel.poll([self.fd], left)

    def close(self) -> None:
        """Reap the children that have ended, and close `fd`."""
        self.reap()
        self._kernel.close(self.fd)
