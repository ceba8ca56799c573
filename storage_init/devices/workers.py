# SPDX-License-Identifier: MIT
"""Who loads the modules: this process, one after the other, or children, several at a time."""

from collections import namedtuple

from storage_init.kernel.abi import ETIMEDOUT
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional

    from storage_init.devices.modprobe import Loader
    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.children import Children
    from storage_init.kernel.log import Log


# The way to one disk is some three modules wide; more children would only load what is not needed.
_MOST = 4

# In seconds. Loading a module takes well under one; a child that takes this long is stuck.
CHILD_LIMIT = 20

# Devices on these buses come before all others. The disks of virtual machines: their drivers are
# small, and the disk is rarely on one of the emulated controllers that are there as well. And the
# disks that a controller has found: one of them may be what is looked for, and end the search.
_FIRST = ("virtio", "vmbus", "xen", "scsi", "mmc")

# A child, the modules it loads, the time (clock_ms) after which nobody waits for it any more;
# ahead: whether it was started by load_ahead.
Child = namedtuple("Child", ("pid", "modules", "limit", "ahead"))

# A module to load once those it needs are loaded; asked: it is a device that asks for it.
Job = namedtuple("Job", ("module", "needs", "asked"))


class Workers:
    """Has the modules loaded that devices and filesystems need, each once.

    With one processor, all in this process. With more, `turn` starts children, as many at a time as
    there are processors, each for a single module that has all it needs. Those of load_ahead do not
    count: a driver mostly waits for its device.

    Children that still load a module when root is switched are left alone. They have one system
    call to make, hold no mount, and stage 2's init reaps them as it does all orphans; what they
    keep of the old root is their own text and one module, until they end. Waiting for a driver
    that nobody needs would cost time. Killing one could cost its device the driver for good: the
    kernel starts no thread for a process that is to die, so the probe fails and is not repeated.
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
        self._at_once = min(self._processors, _MOST)
        self._known: Dict[str, bool] = {}  # modaliases that were ever wanted
        # Of the devices that come first, and of the others, each oldest first: modaliases to load
        # for, and what is left to load for those before them.
        self._wanted: List[List[str]] = [[], []]
        self._jobs: List[List[Job]] = [[], []]
        self._running: List[Child] = []
        self._patience = CHILD_LIMIT * 1000  # for settle, over all attempts; milliseconds

    def one_at_a_time(self) -> None:
        """Load what devices ask for one after the other, here. Say so before anything is wanted."""
        self._at_once = 1

    def want(self, modalias: str) -> None:
        """Note what a device asks for, the first time that it is asked for."""
        bus = modalias.partition(":")[0]
        if modalias not in self._known and bus in self.buses:
            self._known[modalias] = True
            self._wanted[0 if bus in _FIRST else 1].append(modalias)

    def turn(self) -> bool:
        """Load for the next device, and return True; or start the children that may start now.

        False: nothing was done here that took time; see `until` for what to wait for.
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

    def until(self) -> int:
        """When (clock_ms) to give a child up, 0 if there is none; `fd` tells when one has ended."""
        waiting = self._jobs[0] or self._jobs[1]
        limits = [child.limit for child in self._running if waiting or not child.ahead]
        return min(limits) if limits else 0

    def _next(self) -> "Optional[Job]":
        """What may be started now; None if something has to end before, or all is done."""
        for number in (0, 1):
            jobs = self._jobs[number]
            for modalias in self._wanted[number]:
                jobs += self._jobs_for(modalias)
            self._wanted[number] = []
            jobs = [job for job in jobs if not self._loader.settled(job.module)]
            self._jobs[number] = jobs
            for job in jobs:
                unmet = [need for need in job.needs if not self._loader.settled(need)]
                if not unmet and not self._loads(job.module):
                    return job
            if jobs:
                return None
        return None

    def _jobs_for(self, modalias: str) -> "List[Job]":
        jobs = []
        for name in self._loader.asked(modalias):
            if not self._loader.settled(name):
                for module, needs in self._loader.order(name):
                    jobs.append(Job(module, needs, module == name))
        return jobs

    def _loads(self, module: str) -> "Optional[Child]":
        """The child that loads this module now."""
        for child in self._running:
            if module in child.modules:
                return child
        return None

    def _start(self, job: Job) -> None:
        load = self._loader.load_alone if job.asked else self._loader.attempt
        try:
            pid = self._children.start(lambda: load(job.module))
        except OSError as error:  # no process is to be had: one child less
            self._log.warning(reason(error))
            self._loader.attempt(job.module)
            return
        self._run(pid, [job.module], False)

    def _run(self, pid: int, modules: "List[str]", ahead: bool) -> None:
        limit = self._kernel.clock_ms() + CHILD_LIMIT * 1000
        self._running.append(Child(pid, modules, limit, ahead))

    def _collect(self) -> None:
        """Take note of children that have ended, and of those that nobody waits for any more."""
        self._children.reap()
        running = []
        now = self._kernel.clock_ms()
        for child in self._running:
            status = self._children.status(child.pid)
            if status is None and now < child.limit:
                running.append(child)
                continue
            if status is None:
                self._log.warning(_late(child) + ": going on without")
            # What load_ahead failed to load is tried again, but not what is stuck: the kernel
            # would have this process wait for the other one.
            if status in (0, None) or not child.ahead:
                for module in child.modules:
                    self._loader.mark(module)
        self._running = running

    def load_first(self, modules: "List[str]") -> None:
        """Load what speeds up all that follows: here, or with more processors in children."""
        if self._processors > 1:
            self.load_ahead([[module] for module in modules])
            return
        for module in self._whole(modules):
            self._loader.attempt(module)

    def load_ahead(self, chains: "List[List[str]]") -> None:
        """Start loading modules that will be needed, each chain of them in a child of its own.

        With one processor, nothing. What several chains need is loaded first, here.
        """
        if self._processors == 1:
            return
        wholes = [self._whole(names) for names in chains]
        for number, whole in enumerate(wholes):
            for module in whole:
                if [1 for other in wholes[number + 1 :] if module in other]:
                    self._loader.attempt(module)
        for names in chains:
            whole = self._whole(names)
            if whole and not [1 for module in whole if self._loads(module)]:
                self._start_chain(names, whole)

    def _start_chain(self, names: "List[str]", whole: "List[str]") -> None:
        def work() -> None:
            for name in names:
                self._loader.load(name)

        self._run(self._children.start(work), whole, True)

    def _whole(self, names: "List[str]") -> "List[str]":
        """All that has to be loaded for these modules, in order."""
        found: List[str] = []
        for name in names:
            for module, _ in self._loader.order(name):
                if module not in found and not self._loader.settled(module):
                    found.append(module)
        return found

    def settle(self, module: str) -> None:
        """Have a module loaded: wait for the child that loads it, or load it here. OSError.

        A child that failed has logged why; trying again here gives the error its place. All calls
        together wait for at most CHILD_LIMIT seconds.
        """
        child = self._loads(module)
        if child:
            start = self._kernel.clock_ms()
            try:
                self._children.wait(child.pid, min(child.limit, start + self._patience))
            except OSError as error:
                if error.errno != ETIMEDOUT:
                    raise
                raise OSError(ETIMEDOUT, _late(child))
            finally:
                self._patience -= self._kernel.clock_ms() - start
            self._collect()
        self._loader.load(module)


def _late(child: Child) -> str:
    return "load module {}: not done after {} s".format(" ".join(child.modules), CHILD_LIMIT)


def processors(kernel: "Kernel") -> int:
    """How many processors are online; 1 if the kernel does not say."""
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
