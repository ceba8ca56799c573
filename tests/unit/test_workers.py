# SPDX-License-Identifier: MIT
from support import Ended, make, raises

from storage_init.devices.modprobe import Loader
from storage_init.devices.workers import Workers, processors
from storage_init.formats import module_tables
from storage_init.kernel.children import Children

INDEX = {
    "scsi_mod": ("scsi_mod.ko", [], []),
    "libata": ("libata.ko", ["scsi_mod"], []),
    "ahci": ("ahci.ko", ["scsi_mod", "libata"], []),
    "nvme": ("nvme.ko", [], ["after"]),
    "after": ("after.ko", [], []),
    "virtio_scsi": ("virtio_scsi.ko", ["scsi_mod"], []),
    "crc": ("crc.ko", [], []),
    "ext4": ("ext4.ko", ["crc"], []),
    "erofs": ("erofs.ko", ["crc"], []),
    "overlay": ("overlay.ko", [], []),
    "raid": ("raid.ko", ["crc"], []),
}
ALIASES = (
    b"# pci:5 virtio:8\n"
    b"pci:a\t\tahci\npci:n\t\tnvme\npci:r\t\traid\npci:x\t\tahci\nvirtio:s\t\tvirtio_scsi\n"
)


class Machine:
    """Workers on a fake whose children run for 50 ms.

    begun: the modules of each child that was started.
    """

    def __init__(self, online=b"0-1\n", words=(), index=INDEX):
        files = {"/m/" + entry[0]: b"" for entry in index.values()}
        files["/sys/devices/system/cpu/online"] = online
        self.fake, self.kernel, log, self.lines = make(files)
        self.fake.child_ms = 50
        aliases = module_tables.Aliases(ALIASES)
        self.loader = Loader(self.kernel, log, index, aliases, "/m", words)
        self.children = Children(self.kernel, log)
        self.begun = []
        start = self.children.start

        def starting(work):
            self.begun.append(self._does(work))
            return start(work)

        self.children.start = starting
        self.workers = Workers(self.kernel, log, self.loader, self.children)

    def _does(self, work):
        """Return the modules that a child would load: run its work here, then undo the effects."""
        kept, done = len(self.fake.calls), set(self.loader._done)
        work()
        names = [call[1][3:-3] for call in self.fake.calls[kept:] if call[0] == "sc_finit_module"]
        del self.fake.calls[kept:]
        self.loader._done = done
        return " ".join(names)

    def loaded(self):
        return [call[1][3:-3] for call in self.fake.calls if call[0] == "sc_finit_module"]

    def turns(self):
        """Turn until no child is waited for. Return the children that were started together."""
        rounds = []
        while True:
            before = len(self.begun)
            while self.workers.turn():
                pass
            if len(self.begun) > before:
                rounds.append(self.begun[before:])
            limit = self.workers.next_limit()
            if not limit:
                return rounds
            self.kernel.poll([self.workers.fd], limit - self.kernel.clock_ms())


def test_one_processor_loads_in_this_process():
    machine = Machine(b"0\n")
    machine.workers.want("pci:a")
    machine.workers.want("virtio:s")
    machine.workers.load_ahead([["ext4"]])
    assert machine.turns() == [] and "sc_fork" not in machine.fake.names()
    assert machine.loaded() == ["scsi_mod", "virtio_scsi", "libata", "ahci"]


def test_load_first():
    machine = Machine(b"0\n")
    machine.workers.load_first(["ext4", "absent", "erofs"])
    assert machine.loaded() == ["crc", "ext4", "erofs"] and machine.begun == []
    machine = Machine()
    machine.workers.load_first(["ext4", "absent", "overlay"])
    assert machine.loaded() == [] and machine.begun == ["crc ext4", "overlay"]


def test_load_first_ignores_failures():
    machine = Machine(b"0\n")
    machine.fake.failures["sc_finit_module"] = 19
    machine.workers.load_first(["overlay"])
    machine.workers.settle("overlay")


def test_two_processors_load_two_modules_at_a_time():
    machine = Machine()
    for modalias in ("pci:a", "pci:n", "pci:x", "pci:a"):
        machine.workers.want(modalias)
    assert machine.turns() == [["scsi_mod", "nvme"], ["libata", "after"], ["ahci"]]
    assert machine.loaded() == [] and machine.fake.now == 150 * 1000000


def test_at_most_four_children():
    names = ["m{}".format(number) for number in range(6)]
    machine = Machine(b"0-15\n", index={name: (name + ".ko", [], []) for name in names})
    machine.loader.aliases.lookup = lambda modalias: names
    machine.workers.want("pci:a")
    assert [len(together) for together in machine.turns()] == [4, 2]


def test_virtio_devices_come_before_others():
    machine = Machine()
    machine.workers.want("pci:n")
    machine.workers.want("virtio:s")
    assert machine.turns() == [["scsi_mod"], ["virtio_scsi"], ["nvme"], ["after"]]


def test_one_at_a_time_loads_in_this_process():
    machine = Machine()
    machine.workers.one_at_a_time()
    machine.workers.want("pci:a")
    machine.workers.want("pci:n")
    assert machine.turns() == []
    assert machine.loaded() == ["scsi_mod", "libata", "ahci", "nvme", "after"]


def test_modules_on_the_blacklist_are_skipped():
    machine = Machine(words=[("modprobe.blacklist", "nvme")])
    machine.workers.want("pci:n")
    machine.workers.want("pci:r")
    assert machine.turns() == [["crc"], ["raid"]]


def test_buses_without_drivers_are_skipped():
    machine = Machine()
    machine.workers.want("usb:x")
    assert machine.turns() == []


def test_only_failed_drivers_are_warnings():
    machine = Machine()
    machine.fake.failures["sc_finit_module"] = 5
    machine.fake.sc_fork = lambda: 0
    del machine.children.start
    machine.workers.want("pci:a")
    raises(Ended, machine.workers.turn)
    assert machine.fake.calls[-1] == ("sc_exit", 0) and machine.lines == []
    machine.loader.mark("libata")
    raises(Ended, machine.workers.turn)
    assert machine.fake.calls[-1] == ("sc_exit", 1)
    assert machine.lines == ["initoverlayfs: load module /m/ahci.ko: errno 5"]


def test_a_stuck_child_is_given_up():
    machine = Machine()
    machine.fake.child_ms = 1000000
    machine.workers.want("pci:n")
    assert machine.turns() == [["nvme"], ["after"]]
    assert machine.fake.now == 40000 * 1000000
    assert machine.lines == [
        "initoverlayfs: load module nvme: timed out after 20 s; continuing without it",
        "initoverlayfs: load module after: timed out after 20 s; continuing without it",
    ]


def test_a_failed_fork_loads_in_this_process():
    machine = Machine()
    machine.fake.failures["sc_fork"] = 11
    machine.workers.want("pci:a")
    machine.turns()
    assert machine.loaded() == ["scsi_mod", "libata", "ahci"] and len(machine.lines) == 3


def test_modules_load_when_they_are_needed_if_a_fork_fails_ahead():
    machine = Machine()
    machine.fake.failures["sc_fork"] = 11
    machine.workers.load_ahead([["ext4"]])
    (line,) = machine.lines
    assert "fork" in line and "not loading" in line
    machine.workers.settle("ext4")
    assert "ext4" in machine.loaded()


def test_settle_waits_for_children_of_load_ahead():
    machine = Machine()
    machine.workers.load_ahead([["ext4", "vfat"], ["erofs", "overlay"]])
    # the shared dependency is loaded first, in this process
    assert machine.loaded() == ["crc"] and machine.begun == ["ext4", "erofs overlay"]
    for module in ("ext4", "erofs", "overlay", "vfat"):
        machine.workers.settle(module)
    assert machine.loaded() == ["crc"] and machine.fake.now == 50 * 1000000
    machine.workers.load_ahead([["ext4"], ["absent"]])
    assert len(machine.begun) == 2


def test_settle_retries_after_a_failed_child():
    machine = Machine()
    machine.fake.child_status = 256
    machine.workers.load_ahead([["ext4"]])
    machine.workers.settle("ext4")
    assert machine.loaded() == ["crc", "ext4"]


def test_settle_times_out_on_a_stuck_child():
    machine = Machine()
    machine.fake.child_ms = 1000000
    machine.workers.load_ahead([["ext4"]])
    error = raises(OSError, machine.workers.settle, "ext4")
    assert error.errno == 110 and machine.fake.now == 20000 * 1000000
    assert error.args[1] == "load module crc ext4: timed out after 20 s"
    assert raises(OSError, machine.workers.settle, "ext4").errno == 110
    assert machine.fake.now == 20000 * 1000000


def test_a_stuck_module_is_not_retried():
    machine = Machine()
    machine.fake.child_ms = 1000000
    machine.workers.load_ahead([["ext4"]])
    raises(OSError, machine.workers.settle, "ext4")
    machine.workers.turn()
    assert "continuing without it" in machine.lines[0]
    # The kernel would make this process wait for the child.
    machine.workers.settle("ext4")
    machine.workers.load_ahead([["ext4"]])
    assert machine.loaded() == [] and len(machine.begun) == 1


def test_all_calls_of_settle_share_one_limit():
    machine = Machine()
    machine.fake.child_ms = 15000
    machine.workers.load_ahead([["ext4"]])
    machine.workers.settle("ext4")
    machine.workers.load_ahead([["overlay"]])
    raises(OSError, machine.workers.settle, "overlay")
    assert machine.fake.now == 20000 * 1000000


def test_a_driver_waits_for_a_child_of_load_ahead():
    machine = Machine()
    machine.workers.load_ahead([["ext4"]])
    machine.workers.want("pci:r")
    machine.workers.want("pci:n")
    assert machine.turns() == [["nvme"], ["raid", "after"]]


def test_children_of_load_ahead_are_not_counted():
    machine = Machine()
    machine.workers.load_ahead([["ext4"], ["overlay"]])
    machine.workers.want("pci:n")
    machine.workers.want("pci:a")
    assert machine.turns() == [["nvme", "scsi_mod"], ["after", "libata"], ["ahci"]]


def test_next_limit_ignores_children_of_load_ahead():
    machine = Machine()
    machine.workers.load_ahead([["overlay"]])
    assert machine.workers.next_limit() == 0


def test_processors():
    for text, count in (("0", 1), ("0-3", 4), ("0-1,4-5,7", 5), ("", 1), ("x-y", 1)):
        _, kernel, _, _ = make({"/sys/devices/system/cpu/online": text.encode() + b"\n"})
        assert processors(kernel) == count, text
    assert processors(make()[1]) == 1
