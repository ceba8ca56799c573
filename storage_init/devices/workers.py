# SPDX-License-Identifier: MIT
"""Load modules for devices and filesystems, in this process or in parallel children."""

from collections import namedtuple

from storage_init.kernel.abi import ETIMEDOUT
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Set

    from storage_init.devices.modprobe import Loader
    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.children import Children
    from storage_init.kernel.log import Log


# At most three modules on the path to a disk can load in parallel. More children would only load
# modules that the boot does not need.
_MAX_CHILDREN = 4

# Seconds after which a child is considered stuck. A module loads in well under one second.
CHILD_LIMIT = 20

# Buses whose devices come first. virtio, vmbus, xen: a virtual machine's disk is rarely on one of
# its emulated controllers, and these drivers are small. scsi, mmc: disks that a controller has
# found, one of which may end the search.
_FIRST_BUSES = ("virtio", "vmbus", "xen", "scsi", "mmc")

# modules: that the child loads. limit: time (clock_ms) from which it is considered stuck. ahead:
# load_ahead has started it.
Child = namedtuple("Child", ("pid", "modules", "limit", "ahead"))

# needs: modules to load first. for_device: the modalias of a device matches this module.
Job = namedtuple("Job", ("module", "needs", "for_device"))


class Workers:
    """Load the modules that devices and filesystems need, each of them once.

    With one processor, this process loads them. With more, `turn` starts a child for each module
    whose dependencies are loaded, at most as many at a time as there are processors, and at most
    _MAX_CHILDREN. The children of load_ahead are not counted, because a driver mostly waits for its
    device.

    Children that still run at the switch to another root are left alone. They make one system call,
    hold no mount, and are reaped by the next init. Of the old root they keep only their own text
    and one module in memory. Waiting for them would delay the boot. Killing one could leave its
    device without a driver: the kernel starts no thread for a process that is being killed, so the
    probe fails, and the kernel does not repeat it.
    """

    def __init__(
        self, kernel: "Kernel", log: "Log", loader: "Loader", children: "Children"
    ) -> None:
        self._kernel = kernel
        self._log = log
        self._loader = loader
        self._children = children
        self.fd = children.fd
        self.buses = list(loader.aliases.buses)
        self._processors = processors(kernel)
        self._at_once = min(self._processors, _MAX_CHILDREN)
        self._known: Set[str] = set()  # modaliases that were wanted at any time
        # Two queues each, for devices on _FIRST_BUSES and for other devices: modaliases without
        # jobs yet, the jobs of earlier modaliases, and the modules that these modaliases match.
        self._wanted: List[List[str]] = [[], []]
        self._jobs: List[List[Job]] = [[], []]
        self._matched: List[Set[str]] = [set(), set()]
        self._running: List[Child] = []
        self._wait_left = CHILD_LIMIT * 1000  # milliseconds that all calls of settle may wait

    def one_at_a_time(self) -> None:
        """Load modules for devices one by one, in this process. Call this before `want`."""
        self._at_once = 1

    def want(self, modalias: str) -> None:
        """Queue the modules for a modalias, unless it was queued before."""
        bus = modalias.partition(":")[0]
        if modalias not in self._known and bus in self.buses:
            self._known.add(modalias)
            self._wanted[0 if bus in _FIRST_BUSES else 1].append(modalias)

    def turn(self) -> bool:
        """Load the modules of the next device and return True, or start children.

        Returns False if this process has loaded nothing: poll `fd` until next_limit then.
        """
        self._collect()
        if self._at_once == 1:
            for wanted in self._wanted:
                if wanted:
                    self._loader.load_modalias(wanted.pop(0))
                    return True
            return False
        while len([child for child in self._running if not child.ahead]) < self._at_once:
            job = self._next()
            if job is None:
                break
            self._start(job)
        return False

    def next_limit(self) -> int:
        """Return the time (clock_ms) from which a child is stuck, 0 if none is waited for."""
        waiting = self._jobs[0] or self._jobs[1] or self._wanted[0] or self._wanted[1]
        limits = [child.limit for child in self._running if waiting or not child.ahead]
        return min(limits) if limits else 0

    def _next(self) -> "Optional[Job]":
        """Return a job that can start now. None if it must wait for a child, or if none is left.

        Makes the jobs for a modalias only if none of the earlier jobs can start.
        """
        for number in (0, 1):
            jobs = [job for job in self._jobs[number] if not self._loader.is_done(job.module)]
            self._jobs[number] = jobs
            at = 0
            while True:
                while at < len(jobs):
                    if self._can_start(jobs[at]):
                        return jobs[at]
                    at += 1
                if not self._wanted[number]:
                    break
                jobs += self._jobs_for(self._wanted[number].pop(0), self._matched[number])
            if jobs:
                return None
        return None

    def _can_start(self, job: Job) -> bool:
        for need in job.needs:
            if not self._loader.is_done(need):
                return False
        return not self._loader.is_done(job.module) and not self._child_for(job.module)

    def _jobs_for(self, modalias: str, matched: "Set[str]") -> "List[Job]":
        """Return the jobs for a modalias, except for modules in `matched`, which then grows."""
        jobs = []
        for name in self._loader.modules_for(modalias):
            if name not in matched and not self._loader.is_done(name):
                matched.add(name)
                for module, needs in self._loader.order(name):
                    if not self._loader.is_done(module):
                        jobs.append(Job(module, needs, module == name))
        return jobs

    def _child_for(self, module: str) -> "Optional[Child]":
        """Return the running child that loads this module."""
        for child in self._running:
            if module in child.modules:
                return child
        return None

    def _start(self, job: Job) -> None:
        load = self._loader.load_alone if job.for_device else self._loader.try_load
        try:
            pid = self._children.start(lambda: load(job.module))
        except OSError as error:  # no process is available
            self._log.warning(reason(error) + "; loading module {} here".format(job.module))
            self._loader.try_load(job.module)
            return
        self._run(pid, [job.module], False)

    def _run(self, pid: int, modules: "List[str]", ahead: bool) -> None:
        limit = self._kernel.clock_ms() + CHILD_LIMIT * 1000
        self._running.append(Child(pid, modules, limit, ahead))

    def _collect(self) -> None:
        """Record the modules of children that have ended or are stuck."""
        self._children.reap()
        running = []
        now = self._kernel.clock_ms()
        for child in self._running:
            status = self._children.status(child.pid)
            if status is None and now < child.limit:
                running.append(child)
                continue
            if status is None:
                self._log.warning(_stuck(child) + "; continuing without it")
            # If a child of load_ahead has failed, settle retries. It does not retry a stuck module,
            # because the kernel would make this process wait for the child.
            if status in (0, None) or not child.ahead:
                for module in child.modules:
                    self._loader.mark(module)
        self._running = running

    def load_first(self, modules: "List[str]") -> None:
        """Load modules that speed up loading others: in children if there are more processors."""
        if self._processors > 1:
            self.load_ahead([[module] for module in modules])
            return
        for module in self._in_order(modules):
            self._loader.try_load(module)

    def load_ahead(self, chains: "List[List[str]]") -> None:
        """Load modules in advance, each chain in its own child. Does nothing with one processor.

        This process loads the modules that several chains share, before it starts the children.
        """
        if self._processors == 1:
            return
        orders = [self._in_order(names) for names in chains]
        for number, modules in enumerate(orders):
            for module in modules:
                if [1 for other in orders[number + 1 :] if module in other]:
                    self._loader.try_load(module)
        for names in chains:
            modules = self._in_order(names)
            if modules and not [1 for module in modules if self._child_for(module)]:
                self._start_chain(names, modules)

    def _start_chain(self, names: "List[str]", modules: "List[str]") -> None:
        def work() -> None:
            for name in names:
                self._loader.load(name)

        try:
            pid = self._children.start(work)
        except OSError as error:  # no process is available: each step loads what it needs
            self._log.warning(reason(error) + "; not loading {} ahead".format(" ".join(modules)))
            return
        self._run(pid, modules, True)

    def _in_order(self, names: "List[str]") -> "List[str]":
        """Return these modules and their dependencies in load order, without those done."""
        found: List[str] = []
        for name in names:
            for module, _ in self._loader.order(name):
                if module not in found and not self._loader.is_done(module):
                    found.append(module)
        return found

    def settle(self, module: str) -> None:
        """Wait for the child that loads a module, or load it in this process. Raises OSError.

        If the child has failed, loading the module again raises the error in the step that needs
        it. All calls together wait for at most CHILD_LIMIT seconds.
        """
        child = self._child_for(module)
        if child:
            start = self._kernel.clock_ms()
            try:
                self._children.wait(child.pid, min(child.limit, start + self._wait_left))
            except OSError as error:
                if error.errno != ETIMEDOUT:
                    raise
                raise OSError(ETIMEDOUT, _stuck(child))
            finally:
                self._wait_left -= self._kernel.clock_ms() - start
            self._collect()
        self._loader.load(module)


def _stuck(child: Child) -> str:
    return "load module {}: timed out after {} s".format(" ".join(child.modules), CHILD_LIMIT)


def processors(kernel: "Kernel") -> int:
    """Return the number of online processors; 1 if it is unknown."""
    try:
        text = kernel.read_text("/sys/devices/system/cpu/online").strip()
    except OSError:
        return 1
    count = 0
    for part in text.split(","):  # 0-3,5
        first, _, last = part.partition("-")
        if first.isdigit() and (last.isdigit() or not last):
            count += int(last or first) - int(first) + 1
    return max(count, 1)
