# SPDX-License-Identifier: MIT
from support import make, raises
from test_partitions import TEXT, gpt

from storage_init.devices.finder import Finder, matches
from storage_init.devices.modprobe import Loader
from storage_init.devices.uevent import Events
from storage_init.devices.workers import Workers
from storage_init.formats import module_tables
from storage_init.formats.superblock import Filesystem
from storage_init.kernel.children import Children

UUID = "01020304-0506-0708-090a-0b0c0d0e0f10"


def disk(uuid=bytes(range(1, 17)), label=b""):
    data = bytearray(8192)
    data[1080:1082] = b"\x53\xef"
    data[1128:1144] = uuid
    data[1144 : 1144 + len(label)] = label
    return bytes(data)


def block_event(name, action=b"add"):
    path = b"/devices/x/" + name
    return (
        action
        + b"@"
        + path
        + b"\0ACTION="
        + action
        + b"\0DEVPATH="
        + path
        + (b"\0SUBSYSTEM=block\0DEVNAME=" + name + b"\0")
    )


def bus_event(modalias):
    return b"add@/devices/y\0ACTION=add\0DEVPATH=/devices/y\0MODALIAS=" + modalias + b"\0"


TABLE = b"# pci:6 virtio:17\npci:v1\t*\tvirtio_pci\nvirtio:d00000002v\t*\tvirtio_blk\n"


def finder(files=None, online=b"0\n", table=TABLE):
    fake, kernel, log, lines = make(files)
    index = {"virtio_pci": ("p.ko", [], []), "virtio_blk": ("b.ko", [], [])}
    fake.add("/m/p.ko")
    fake.add("/m/b.ko")
    fake.add("/sys/devices/system/cpu/online", online)
    loader = Loader(kernel, log, index, module_tables.Aliases(table), "/m", [])
    workers = Workers(kernel, log, loader, Children(kernel, log))
    return fake, Finder(kernel, log, workers, Events(kernel)), lines


def add_disk(fake, name, content):
    fake.add("/dev/" + name, content)
    fake.add("/sys/class/block/" + name + "/size", b"100\n")


def test_a_device_that_is_there_already():
    fake, find, _ = finder()
    add_disk(fake, "sda", disk())
    assert find.find("UUID=" + UUID, 5).path == "/dev/sda"
    assert fake.now == 0 and "sc_finit_module" not in fake.names()


def test_modules_are_loaded_until_it_appears():
    fake, find, _ = finder({"/sys/bus/pci/devices/0000:00/modalias": b"pci:v1d2\n"})
    add_disk(fake, "vda", disk())
    fake.files["/sys/class/block/vda/size"] = b"0\n"  # not there yet
    fake.uevents = [(0, bus_event(b"virtio:d00000002v0")), (40, block_event(b"vda"))]
    poll = fake.sc_poll

    def appear(*arguments):
        fake.files["/sys/class/block/vda/size"] = b"100\n"
        return poll(*arguments)

    fake.sc_poll = appear
    assert find.find("UUID=" + UUID.upper(), 5).path == "/dev/vda"
    loaded = [call[1] for call in fake.calls if call[0] == "sc_finit_module"]
    assert loaded == ["/m/p.ko", "/m/b.ko"] and fake.now == 40 * 1000000


def test_a_virtual_machines_own_disks_come_first():
    fake, find, _ = finder(
        {
            "/sys/bus/pci/devices/0000:00/modalias": b"pci:v1d2\n",
            "/sys/bus/virtio/devices/virtio0/modalias": b"virtio:d00000002v0\n",
        }
    )
    raises(OSError, find.find, "UUID=" + UUID, 1)
    loaded = [call[1] for call in fake.calls if call[0] == "sc_finit_module"]
    assert loaded == ["/m/b.ko", "/m/p.ko"]


def test_devices_of_device_trees_and_acpi_are_on_the_platform_bus():
    table = b"# acpi:4 of:4 platform:\nacpi\t*:X:*\tvirtio_blk\nof:N\t*T*Cx,y\tvirtio_pci\n"
    for modalias, path in (
        (b"of:NdiskT(null)Cx,y\n", "/m/p.ko"),
        (b"acpi:PNP0:X:\n", "/m/b.ko"),
    ):
        fake, find, _ = finder({"/sys/bus/platform/devices/a/modalias": modalias}, table=table)
        raises(OSError, find.find, "UUID=" + UUID, 1)
        assert [call[1] for call in fake.calls if call[0] == "sc_finit_module"] == [path]


def test_on_two_processors_events_are_received_while_children_load():
    fake, find, _ = finder({"/sys/bus/pci/devices/0000:00/modalias": b"pci:v1d2\n"}, b"0-1\n")
    fake.child_ms = 1000
    fake.uevents = [(300, bus_event(b"virtio:d00000002v0")), (700, block_event(b"vda"))]
    poll = fake.sc_poll

    def appear(*arguments):
        ready = poll(*arguments)
        if fake.now == 700 * 1000000:
            add_disk(fake, "vda", disk())
        return ready

    fake.sc_poll = appear
    assert find.find("UUID=" + UUID, 5).path == "/dev/vda"
    # two children run; nothing was loaded here, and none of them is waited for
    assert fake.calls == [("sc_fork",), ("sc_fork",)] and fake.now == 700 * 1000000


def test_nothing_new_is_begun_once_the_device_is_there():
    fake, find, _ = finder({"/sys/bus/pci/devices/0000:00/modalias": b"pci:v1d2\n"}, b"0-1\n")
    add_disk(fake, "vda", disk())
    fake.files["/sys/class/block/vda/size"] = b"0\n"  # not there yet
    fake.uevents = [(0, block_event(b"vda")), (0, bus_event(b"virtio:d00000002v0"))]
    fork = fake.sc_fork

    def appear():
        fake.files["/sys/class/block/vda/size"] = b"100\n"
        return fork()

    fake.sc_fork = appear
    assert find.find("UUID=" + UUID, 5).path == "/dev/vda"
    assert fake.calls == [("sc_fork",)]


def test_the_deadline_with_children():
    for child_ms in (50, 4000, 1000000):
        fake, find, lines = finder(
            {"/sys/bus/pci/devices/0000:00/modalias": b"pci:v1d2\n"}, b"0-1\n"
        )
        fake.child_ms = child_ms
        raises(OSError, find.find, "UUID=" + UUID, 3)
        assert fake.now == 3000 * 1000000 and lines == []


def test_a_driver_that_is_stuck_costs_no_more_than_the_deadline():
    for timeout, given_up in ((5, 0), (30, 1)):
        fake, find, lines = finder(
            {"/sys/bus/pci/devices/0000:00/modalias": b"pci:v1d2\n"}, b"0-1\n"
        )
        fake.child_ms = 1000000
        raises(OSError, find.find, "UUID=" + UUID, timeout)
        assert fake.now == timeout * 1000000000 and len(lines) == given_up


def test_the_deadline_where_modules_load_in_this_process():
    fake, find, _ = finder(
        {
            "/sys/bus/pci/devices/0000:00/modalias": b"pci:v1d2\n",
            "/sys/bus/virtio/devices/virtio0/modalias": b"virtio:d00000002v0\n",
        }
    )
    load = fake.sc_finit_module

    def slow(*arguments):
        fake.now += 4000 * 1000000
        return load(*arguments)

    fake.sc_finit_module = slow
    raises(OSError, find.find, "UUID=" + UUID, 3)
    assert fake.now == 4000 * 1000000


def test_settle_loads_drivers_for_so_long():
    fake, find, _ = finder({"/sys/bus/pci/devices/0000:00/modalias": b"pci:v1d2\n"})
    fake.uevents = [(700, bus_event(b"virtio:d00000002v0"))]
    add_disk(fake, "vda", disk())
    find.settle(2)
    loaded = [call[1] for call in fake.calls if call[0] == "sc_finit_module"]
    assert loaded == ["/m/p.ko", "/m/b.ko"] and fake.now == 2000 * 1000000


def test_what_is_there_in_a_word():
    fake, find, _ = finder()
    add_disk(fake, "vda", b"LUKS\xba\xbe" + bytes(8192))
    assert find.find("/dev/vda", 1) == ("/dev/vda", None, "crypto_LUKS")
    add_disk(fake, "vdb", b"nothing")
    add_disk(fake, "vdc", disk())
    error = raises(OSError, find.find, "UUID=x", 1)
    seen = "/dev/vda (crypto_LUKS), /dev/vdb (unknown), /dev/vdc (ext2)"
    assert error.args[1].endswith("seen: " + seen)


class Scan:
    def __init__(self):
        self.looks = []

    def look(self):
        self.looks.append(None)

    def missing(self):
        return "; no host"


def test_a_scsi_address_is_looked_for_with_the_devices_and_with_each_host():
    fake, find, _ = finder()
    find.scan = Scan()
    host = b"ACTION=add\0DEVPATH=/h\0SUBSYSTEM=scsi_host\0"
    fake.uevents = [(20, b"add@/h\0" + host), (30, b"add@/h\0" + host.replace(b"_host", b""))]
    error = raises(OSError, find.find, "UUID=" + UUID, 1)
    assert len(find.scan.looks) == 2 and error.args[1].endswith("seen: no block device; no host")


def test_the_second_of_two_disks_matches():
    fake, find, _ = finder()
    add_disk(fake, "vda", disk(bytes(16)))
    add_disk(fake, "vdb", disk(label=b"BOOT"))
    assert find.find("LABEL=BOOT", 5).path == "/dev/vdb"


def test_by_path_whatever_is_on_it():
    fake, find, _ = finder()
    add_disk(fake, "vda", disk())
    add_disk(fake, "vdb", b"nothing")
    found = find.find("/dev/vdb", 5)
    assert found.path == "/dev/vdb" and found.filesystem is None
    add_disk(fake, "loop0", disk())
    assert find.find("/dev/loop0", 5).filesystem.type == "ext2"


def test_the_deadline_says_what_was_there():
    fake, find, _ = finder()
    add_disk(fake, "vda", disk())
    add_disk(fake, "vdb", b"nothing")
    add_disk(fake, "loop0", disk())
    error = raises(OSError, find.find, "UUID=other", 3)
    assert error.errno == 110 and fake.now == 3000 * 1000000
    assert error.args[1] == (
        "wait for UUID=other: not there after 3 s; seen: /dev/vda (ext2), /dev/vdb (unknown)"
    )


def test_nothing_at_all():
    _, find, _ = finder()
    assert "seen: no block device" in raises(OSError, find.find, "/dev/sda", 0).args[1]


def test_lost_messages_mean_a_new_look():
    fake, find, lines = finder()
    fake.uevents = [(10, 105)]
    poll = fake.sc_poll

    def appear(*arguments):
        add_disk(fake, "vda", disk())
        return poll(*arguments)

    fake.sc_poll = appear
    assert find.find("UUID=" + UUID, 5).path == "/dev/vda"
    assert "uevents were lost" in lines[0]


def test_a_disk_that_cannot_be_read_is_passed_over():
    fake, find, lines = finder()
    add_disk(fake, "sda", disk())
    add_disk(fake, "sdb", disk())
    fake.failures["sc_pread /dev/sda"] = 5
    assert find.find("UUID=" + UUID, 5).path == "/dev/sdb"
    assert "read 8192 bytes at 0 of /dev/sda" in lines[0]


def test_hostile_events_do_no_harm():
    fake, find, _ = finder()
    fake.uevents = [
        (0, b""),
        (0, b"\xff\0\xfe"),
        (0, block_event(b"../etc/passwd")),
        (0, block_event(b"vda", b"remove")),
        (0, bus_event(b"virtio:" + b"x" * 4000)),
    ]
    raises(OSError, find.find, "UUID=x", 1)
    assert fake.calls == []


def test_a_storm_of_events_does_not_move_the_deadline():
    fake, find, _ = finder()
    message = block_event(b"nothere")
    fake.sc_poll = lambda *_: 1

    def receive(fd, buffer, size):
        fake.now += 1000000
        buffer[: len(message)] = message
        return len(message)

    fake.sc_uevent_receive = receive
    raises(OSError, find.find, "UUID=x", 2)
    assert fake.now < 2600 * 1000000


def test_two_that_match_the_first_is_taken_with_a_warning():
    fake, find, lines = finder()
    for name in ("vda", "vdb", "vdc"):
        add_disk(fake, name, disk())
    assert find.find("UUID=" + UUID, 5).path == "/dev/vda"
    assert lines == [
        "initoverlayfs: UUID={} names both /dev/vda and /dev/vdb: taking /dev/vda".format(UUID)
    ]
    assert find.ambiguous == ["UUID=" + UUID]
    assert find.find("/dev/vdc", 5).path == "/dev/vdc" and len(lines) == 1


def test_one_of_the_same_name_that_appears_later_is_warned_of():
    for second, said in ((disk(), True), (disk(bytes(16)), False)):
        fake, find, lines = finder()
        add_disk(fake, "sda", disk())
        found = find.find("UUID=" + UUID, 5)
        add_disk(fake, "sdb", second)
        fake.uevents = [(0, block_event(b"sda")), (0, block_event(b"sdb")), (9999, b"")]
        find.warn_of_others("UUID=" + UUID, found)
        warning = "UUID=" + UUID + " names both /dev/sda and /dev/sdb: taking /dev/sda"
        assert ("initoverlayfs: " + warning in lines) is said
        assert fake.now == 0
    find.warn_of_others("UUID=" + UUID, found)
    fake.uevents = [(0, 105)]
    find.warn_of_others("UUID=" + UUID, found)


def test_the_hint_is_looked_at_first_and_alone():
    fake, find, lines = finder()
    for name in ("loop1", "vda", "vdb"):
        add_disk(fake, name, disk())
    fake.failures["sc_open /dev/vda"] = 5
    assert find.find("UUID=" + UUID, 5, "/dev/vdb").path == "/dev/vdb"
    assert find.find("UUID=" + UUID, 5, "/dev/loop1").path == "/dev/loop1"
    assert lines == []


def test_a_wrong_hint_costs_nothing():
    fake, find, lines = finder()
    add_disk(fake, "vda", disk(bytes(16)))
    add_disk(fake, "vdb", disk())
    for hint in ("/dev/vda", "/dev/absent", "/dev/disk/by-uuid/x", "/dev/vdb/", ""):
        assert find.find("UUID=" + UUID, 5, hint).path == "/dev/vdb"
    assert fake.now == 0 and lines == []


def add_partition(fake, name, number, label=b""):
    """A partition of vda, with a filesystem that has no name."""
    above = "/sys/class/block/" + name
    add_disk(fake, name, disk(bytes(16)))
    fake.add(above + "/uevent", b"DEVTYPE=partition\nPARTN=%d\nPARTNAME=%s\n" % (number, label))
    fake.links[above] = "../../devices/pci/block/vda/" + name


def test_partuuid_and_partlabel():
    for reference, path in (
        ("PARTUUID=" + TEXT[:-2] + "03", "/dev/vda3"),
        ("PARTUUID=" + TEXT[:-2].upper() + "01", "/dev/vda1"),
        ("PARTLABEL=boot", "/dev/vda1"),
    ):
        fake, find, lines = finder()
        add_disk(fake, "vda", bytes(gpt()[:17408]))
        fake.files["/sys/class/block/vda/size"] = b"256\n"
        fake.add("/sys/class/block/vda/uevent", b"DEVTYPE=disk\n")
        fake.add("/sys/class/block/vda/queue/logical_block_size", b"512\n")
        add_partition(fake, "vda1", 1, b"boot")
        add_partition(fake, "vda3", 3, b"a label")
        found = find.find(reference, 5)
        assert found.path == path and found.filesystem.type == "ext2" and lines == []


def test_a_partition_that_appears_with_its_disk():
    fake, find, _ = finder()
    fake.uevents = [(0, block_event(b"vda")), (1, block_event(b"vda1"))]
    poll = fake.sc_poll

    def appear(*arguments):
        add_partition(fake, "vda1", 1, b"boot")
        return poll(*arguments)

    fake.sc_poll = appear
    assert find.find("PARTLABEL=boot", 5).path == "/dev/vda1"


def test_a_part_of_something_larger_is_not_what_its_uuid_says():
    fake, find, _ = finder()
    data = bytearray(disk()) + bytes(65536)
    data[65536:65544] = b"\xfc\x4e\x2b\xa9\0\0\0\0"  # md 0.90
    add_disk(fake, "vda", bytes(data))
    fake.files["/sys/class/block/vda/size"] = b"256\n"
    add_disk(fake, "vdb", disk())
    assert find.find("UUID=" + UUID, 5).path == "/dev/vdb"


def test_matches():
    assert not matches(Filesystem("jbd", "u", "a", 0), "LABEL=a")
    assert matches(Filesystem("vfat", "AB-12", "", 0), "UUID=ab-12")
    assert not matches(Filesystem("squashfs", "", "", 0), "UUID=")
    assert not matches(Filesystem("ext4", "u", "a", 0), "LABEL=A")
