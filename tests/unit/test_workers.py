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
    """Workers on a fake; children live for 50 ms, and `begun` names what each is to load."""

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
        """What a child would load: it is run here, and what it changed is taken back."""
        kept, done = len(self.fake.calls), set(self.loader._done)
        work()
        names = [call[1][3:-3] for call in self.fake.calls[kept:] if call[0] == "sc_finit_module"]
        del self.fake.calls[kept:]
        self.loader._done = done
        return " ".join(names)

    def loaded(self):
        return [call[1][3:-3] for call in self.fake.calls if call[0] == "sc_finit_module"]

    def turns(self):
        """Turn until nothing is left to wait for; what was begun together."""
        rounds = []
        while True:
            before = len(self.begun)
            while self.workers.turn():
                pass
            if len(self.begun) > before:
                rounds.append(self.begun[before:])
            until = self.workers.until()
            if not until:
                return rounds
            self.kernel.poll([self.workers.fd], until - self.kernel.clock_ms())


def test_one_processor_loads_here():
    machine = Machine(b"0\n")
    machine.workers.want("pci:a")
    machine.workers.want("virtio:s")
    machine.workers.load_ahead([["ext4"]])
    assert machine.turns() == [] and "sc_fork" not in machine.fake.names()
    assert machine.loaded() == ["scsi_mod", "virtio_scsi", "libata", "ahci"]


def test_what_comes_first():
    machine = Machine(b"0\n")
    machine.workers.load_first(["ext4", "absent", "erofs"])
    assert machine.loaded() == ["crc", "ext4", "erofs"] and machine.begun == []
    machine = Machine()
    machine.workers.load_first(["ext4", "absent", "overlay"])
    assert machine.loaded() == [] and machine.begun == ["crc ext4", "overlay"]


def test_what_comes_first_may_fail():
    machine = Machine(b"0\n")
    machine.fake.failures["sc_finit_module"] = 19
    machine.workers.load_first(["overlay"])
    machine.workers.settle("overlay")


def test_two_at_a_time_and_each_once():
    machine = Machine()
    for modalias in ("pci:a", "pci:n", "pci:x", "pci:a"):
        machine.workers.want(modalias)
    assert machine.turns() == [["scsi_mod", "nvme"], ["libata", "after"], ["ahci"]]
    assert machine.loaded() == [] and machine.fake.now == 150 * 1000000


def test_no_more_than_four():
    names = ["m{}".format(number) for number in range(6)]
    machine = Machine(b"0-15\n", index={name: (name + ".ko", [], []) for name in names})
    machine.loader.aliases.lookup = lambda modalias: names
    machine.workers.want("pci:a")
    assert [len(together) for together in machine.turns()] == [4, 2]


def test_buses_of_virtual_machines_before_others():
    machine = Machine()
    machine.workers.want("pci:n")
    machine.workers.want("virtio:s")
    assert machine.turns() == [["scsi_mod"], ["virtio_scsi"], ["nvme"], ["after"]]


def test_one_at_a_time_if_that_is_said():
    machine = Machine()
    machine.workers.one_at_a_time()
    machine.workers.want("pci:a")
    machine.workers.want("pci:n")
    assert machine.turns() == []
    assert machine.loaded() == ["scsi_mod", "libata", "ahci", "nvme", "after"]


def test_the_blacklist():
    machine = Machine(words=[("modprobe.blacklist", "nvme")])
    machine.workers.want("pci:n")
    machine.workers.want("pci:r")
    assert machine.turns() == [["crc"], ["raid"]]


def test_a_bus_that_no_driver_here_is_for():
    machine = Machine()
    machine.workers.want("usb:x")
    assert machine.turns() == []


def test_a_driver_that_fails_is_a_warning_and_what_it_needs_is_not():
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


def test_a_child_that_hangs_is_given_up():
    machine = Machine()
    machine.fake.child_ms = 1000000
    machine.workers.want("pci:n")
    assert machine.turns() == [["nvme"], ["after"]]
    assert machine.fake.now == 40000 * 1000000
    assert machine.lines == [
        "initoverlayfs: load module nvme: not done after 20 s: going on without",
        "initoverlayfs: load module after: not done after 20 s: going on without",
    ]


def test_no_process_to_be_had():
    machine = Machine()
    machine.fake.failures["sc_fork"] = 11
    machine.workers.want("pci:a")
    machine.turns()
    assert machine.loaded() == ["scsi_mod", "libata", "ahci"] and len(machine.lines) == 3


def test_ahead_in_children_then_settled():
    machine = Machine()
    machine.workers.load_ahead([["ext4", "vfat"], ["erofs", "overlay"]])
    # what both need is loaded before, once
    assert machine.loaded() == ["crc"] and machine.begun == ["ext4", "erofs overlay"]
    for module in ("ext4", "erofs", "overlay", "vfat"):
        machine.workers.settle(module)
    assert machine.loaded() == ["crc"] and machine.fake.now == 50 * 1000000
    machine.workers.load_ahead([["ext4"], ["absent"]])
    assert len(machine.begun) == 2


def test_a_child_ahead_that_failed_is_made_good_here():
    machine = Machine()
    machine.fake.child_status = 256
    machine.workers.load_ahead([["ext4"]])
    machine.workers.settle("ext4")
    assert machine.loaded() == ["crc", "ext4"]


def test_a_child_ahead_that_hangs():
    machine = Machine()
    machine.fake.child_ms = 1000000
    machine.workers.load_ahead([["ext4"]])
    error = raises(OSError, machine.workers.settle, "ext4")
    assert error.errno == 110 and machine.fake.now == 20000 * 1000000
    assert error.args[1] == "load module crc ext4: not done after 20 s"
    assert raises(OSError, machine.workers.settle, "ext4").errno == 110
    assert machine.fake.now == 20000 * 1000000


def test_what_is_stuck_is_not_loaded_here_as_well():
    machine = Machine()
    machine.fake.child_ms = 1000000
    machine.workers.load_ahead([["ext4"]])
    raises(OSError, machine.workers.settle, "ext4")
    machine.workers.turn()
    assert "going on without" in machine.lines[0]
    # The kernel would have this process wait for the other one.
    machine.workers.settle("ext4")
    machine.workers.load_ahead([["ext4"]])
    assert machine.loaded() == [] and len(machine.begun) == 1


def test_all_waits_for_children_ahead_together_are_bounded():
    machine = Machine()
    machine.fake.child_ms = 15000
    machine.workers.load_ahead([["ext4"]])
    machine.workers.settle("ext4")
    machine.workers.load_ahead([["overlay"]])
    raises(OSError, machine.workers.settle, "overlay")
    assert machine.fake.now == 20000 * 1000000


def test_a_driver_waits_for_what_a_child_ahead_loads():
    machine = Machine()
    machine.workers.load_ahead([["ext4"]])
    machine.workers.want("pci:r")
    machine.workers.want("pci:n")
    assert machine.turns() == [["nvme"], ["raid", "after"]]


def test_children_ahead_take_no_place_of_those_for_devices():
    machine = Machine()
    machine.workers.load_ahead([["ext4"], ["overlay"]])
    machine.workers.want("pci:n")
    machine.workers.want("pci:a")
    assert machine.turns() == [["nvme", "scsi_mod"], ["after", "libata"], ["ahci"]]


def test_a_child_ahead_is_waited_for_only_when_something_needs_it():
    machine = Machine()
    machine.workers.load_ahead([["overlay"]])
    assert machine.workers.until() == 0


def test_processors():
    for text, count in (("0", 1), ("0-3", 4), ("0-1,4-5,7", 5), ("", 1), ("x-y", 1)):
        _, kernel, _, _ = make({"/sys/devices/system/cpu/online": text.encode() + b"\n"})
        assert processors(kernel) == count, text
    assert processors(make()[1]) == 1
