# SPDX-License-Identifier: MIT
import crowd
from support import make, over, raises
from test_partitions import TEXT, gpt

from storage_init.devices.finder import DeviceMissing, Finder, matches
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


def crowded(table=TABLE, index=None, online=b"0\n", **counts):
    """Return a fake machine with thousands of devices, its Finder, and its Loader."""
    files = {"/sys/devices/system/cpu/online": online}
    fake, kernel, log, _ = over(crowd.Crowd(files, **counts))
    loader = Loader(kernel, log, index or {}, module_tables.Aliases(table), "/m", [])
    workers = Workers(kernel, log, loader, Children(kernel, log))
    return fake, Finder(kernel, log, workers, Events(kernel)), loader


def test_10000_block_devices():
    """Every device is probed, and the last one matches. A hint spares the others."""
    fake, find, _ = crowded(disks=10000, wanted=disk(), other=bytes(2048))
    assert find.find("UUID=" + UUID, 5).path == "/dev/disk09999"
    assert fake.probed == 10000
    assert find.find("UUID=" + UUID, 5, "/dev/disk09999").path == "/dev/disk09999"
    assert fake.probed == 10001


def test_10000_devices_with_4200_drivers():
    """Drivers load in the order of the devices, one after the other or in children."""
    table, names = crowd.aliases_table(), crowd.modules_table()
    for online in (b"0\n", b"0-1\n"):
        index = module_tables.Modules(names)
        fake, find, loader = crowded(table, index, online, devices=10000)
        loader.load_alone = loader.mark  # there are no files
        find._coldplug("UUID=" + UUID)
        for _ in range(400):
            find._workers.turn()
        done = [number for number in range(410) if loader.is_done(crowd.name(number))]
        assert len(done) > 390 and done[:390] == list(range(390)), online
        assert ("sc_fork" in fake.names()) is (online != b"0\n")


def add_disk(fake, name, content):
    fake.add("/dev/" + name, content)
    fake.add("/sys/class/block/" + name + "/size", b"100\n")


def test_a_device_that_exists_already():
    fake, find, _ = finder()
    add_disk(fake, "sda", disk())
    assert find.find("UUID=" + UUID, 5).path == "/dev/sda"
    assert fake.now == 0 and "sc_finit_module" not in fake.names()


def test_modules_load_until_the_device_appears():
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


def test_drivers_for_virtio_devices_load_first():
    fake, find, _ = finder(
        {
            "/sys/bus/pci/devices/0000:00/modalias": b"pci:v1d2\n",
            "/sys/bus/virtio/devices/virtio0/modalias": b"virtio:d00000002v0\n",
        }
    )
    raises(DeviceMissing, find.find, "UUID=" + UUID, 1)
    loaded = [call[1] for call in fake.calls if call[0] == "sc_finit_module"]
    assert loaded == ["/m/b.ko", "/m/p.ko"]


def test_platform_devices_have_of_and_acpi_modaliases():
    table = b"# acpi:4 of:4 platform:\nacpi\t*:X:*\tvirtio_blk\nof:N\t*T*Cx,y\tvirtio_pci\n"
    for modalias, path in (
        (b"of:NdiskT(null)Cx,y\n", "/m/p.ko"),
        (b"acpi:PNP0:X:\n", "/m/b.ko"),
    ):
        fake, find, _ = finder({"/sys/bus/platform/devices/a/modalias": modalias}, table=table)
        raises(DeviceMissing, find.find, "UUID=" + UUID, 1)
        assert [call[1] for call in fake.calls if call[0] == "sc_finit_module"] == [path]


def test_events_are_handled_while_children_load():
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
    # two children run, and find does not wait for them
    assert fake.calls == [("sc_fork",), ("sc_fork",)] and fake.now == 700 * 1000000


def test_no_module_is_started_after_the_device_appears():
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


def test_the_timeout_with_children():
    for child_ms in (50, 4000, 1000000):
        fake, find, lines = finder(
            {"/sys/bus/pci/devices/0000:00/modalias": b"pci:v1d2\n"}, b"0-1\n"
        )
        fake.child_ms = child_ms
        raises(DeviceMissing, find.find, "UUID=" + UUID, 3)
        assert fake.now == 3000 * 1000000 and lines == []


def test_the_timeout_with_a_stuck_driver():
    for timeout, given_up in ((5, 0), (30, 1)):
        fake, find, lines = finder(
            {"/sys/bus/pci/devices/0000:00/modalias": b"pci:v1d2\n"}, b"0-1\n"
        )
        fake.child_ms = 1000000
        raises(DeviceMissing, find.find, "UUID=" + UUID, timeout)
        assert fake.now == timeout * 1000000000 and len(lines) == given_up


def test_the_timeout_with_one_processor():
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
    raises(DeviceMissing, find.find, "UUID=" + UUID, 3)
    assert fake.now == 4000 * 1000000


def test_load_drivers_waits_this_long():
    fake, find, _ = finder({"/sys/bus/pci/devices/0000:00/modalias": b"pci:v1d2\n"})
    fake.uevents = [(700, bus_event(b"virtio:d00000002v0"))]
    add_disk(fake, "vda", disk())
    find.load_drivers(2)
    loaded = [call[1] for call in fake.calls if call[0] == "sc_finit_module"]
    assert loaded == ["/m/p.ko", "/m/b.ko"] and fake.now == 2000 * 1000000


def test_unknown_content_is_named():
    fake, find, _ = finder()
    add_disk(fake, "vda", b"LUKS\xba\xbe" + bytes(8192))
    assert find.find("/dev/vda", 1) == ("/dev/vda", None, "crypto_LUKS")
    add_disk(fake, "vdb", b"nothing")
    add_disk(fake, "vdc", disk())
    error = raises(DeviceMissing, find.find, "UUID=x", 1)
    seen = "/dev/vda (crypto_LUKS), /dev/vdb (unknown), /dev/vdc (ext2)"
    assert error.args[0].endswith("seen: " + seen)


def test_a_missing_path_lists_the_devices_that_exist():
    fake, find, _ = finder()
    start = "wait for /dev/sdz9: timed out after 1 s; seen: "
    error = raises(DeviceMissing, find.find, "/dev/sdz9", 1)
    assert error.args[0] == start + "no block device"
    for name in ("vdb", "vda", "cciss!c0d0p1", "loop0", "ram15", "sr0"):
        add_disk(fake, name, disk())
    error = raises(DeviceMissing, find.find, "/dev/sdz9", 1)
    assert error.args[0] == start + "/dev/cciss/c0d0p1, /dev/vda, /dev/vdb"
    error = raises(DeviceMissing, find.find, "/dev/sr1", 1)
    assert error.args[0].endswith("seen: /dev/cciss/c0d0p1, /dev/sr0, /dev/vda, /dev/vdb")
    for number in range(100):
        add_disk(fake, "sd" + str(100 + number), disk())
    error = raises(DeviceMissing, find.find, "/dev/sdz9", 1)
    assert len(error.args[0].split(", ")) == 32


class Scan:
    def __init__(self):
        self.starts = 0

    def start(self):
        self.starts += 1

    def missing(self):
        return "; no host"


def test_the_scsi_scan_starts_at_coldplug_and_for_each_host():
    fake, find, _ = finder()
    scan = Scan()
    find.scan_scsi(scan)
    find.scan_scsi(Scan())  # another attempt: no effect
    host = b"ACTION=add\0DEVPATH=/h\0SUBSYSTEM=scsi_host\0"
    fake.uevents = [(20, b"add@/h\0" + host), (30, b"add@/h\0" + host.replace(b"_host", b""))]
    error = raises(DeviceMissing, find.find, "UUID=" + UUID, 1)
    assert scan.starts == 2 and error.args[0].endswith("seen: no block device; no host")


def test_the_second_of_two_disks_matches():
    fake, find, _ = finder()
    add_disk(fake, "vda", disk(bytes(16)))
    add_disk(fake, "vdb", disk(label=b"BOOT"))
    assert find.find("LABEL=BOOT", 5).path == "/dev/vdb"


def test_a_path_matches_any_content():
    fake, find, _ = finder()
    add_disk(fake, "vda", disk())
    add_disk(fake, "vdb", b"nothing")
    found = find.find("/dev/vdb", 5)
    assert found.path == "/dev/vdb" and found.filesystem is None
    add_disk(fake, "loop0", disk())
    assert find.find("/dev/loop0", 5).filesystem.type == "ext2"


def test_the_timeout_lists_the_devices():
    fake, find, _ = finder()
    add_disk(fake, "vda", disk())
    add_disk(fake, "vdb", b"nothing")
    add_disk(fake, "loop0", disk())
    error = raises(DeviceMissing, find.find, "UUID=other", 3)
    assert fake.now == 3000 * 1000000
    assert error.args[0] == (
        "wait for UUID=other: timed out after 3 s; seen: /dev/vda (ext2), /dev/vdb (unknown)"
    )


def test_the_timeout_without_any_device():
    _, find, _ = finder()
    assert "seen: no block device" in raises(DeviceMissing, find.find, "/dev/sda", 0).args[0]


def test_lost_uevents_cause_a_new_coldplug():
    fake, find, lines = finder()
    fake.uevents = [(10, 105)]
    poll = fake.sc_poll

    def appear(*arguments):
        add_disk(fake, "vda", disk())
        return poll(*arguments)

    fake.sc_poll = appear
    assert find.find("UUID=" + UUID, 5).path == "/dev/vda"
    assert "uevents were lost" in lines[0]


def test_an_unreadable_disk_is_skipped_with_a_warning():
    fake, find, lines = finder()
    add_disk(fake, "sda", disk())
    add_disk(fake, "sdb", disk())
    fake.failures["sc_pread /dev/sda"] = 5
    assert find.find("UUID=" + UUID, 5).path == "/dev/sdb"
    assert "read 8192 bytes at 0 of /dev/sda" in lines[0]


def test_malformed_events_are_ignored():
    fake, find, _ = finder()
    fake.uevents = [
        (0, b""),
        (0, b"\xff\0\xfe"),
        (0, block_event(b"../etc/passwd")),
        (0, block_event(b"vda", b"remove")),
        (0, bus_event(b"virtio:" + b"x" * 4000)),
    ]
    raises(DeviceMissing, find.find, "UUID=x", 1)
    assert fake.calls == []


def test_the_timeout_during_many_events():
    fake, find, _ = finder()
    message = block_event(b"nothere")
    fake.sc_poll = lambda *_: 1

    def receive(fd, buffer, size):
        fake.now += 1000000
        buffer[: len(message)] = message
        return len(message)

    fake.sc_uevent_receive = receive
    raises(DeviceMissing, find.find, "UUID=x", 2)
    assert fake.now < 2600 * 1000000


def test_two_matches_are_a_warning():
    fake, find, lines = finder()
    for name in ("vda", "vdb", "vdc"):
        add_disk(fake, name, disk())
    assert find.find("UUID=" + UUID, 5).path == "/dev/vda"
    assert lines == [
        "initoverlayfs: UUID={} matches both /dev/vda and /dev/vdb: using /dev/vda".format(UUID)
    ]
    assert find.ambiguous == ["UUID=" + UUID]
    assert find.find("/dev/vdc", 5).path == "/dev/vdc" and len(lines) == 1


def test_a_second_match_that_appears_later_is_a_warning():
    for second, warned in ((disk(), True), (disk(bytes(16)), False)):
        fake, find, lines = finder()
        add_disk(fake, "sda", disk())
        found = find.find("UUID=" + UUID, 5)
        add_disk(fake, "sdb", second)
        fake.uevents = [(0, block_event(b"sda")), (0, block_event(b"sdb")), (9999, b"")]
        find.warn_of_others("UUID=" + UUID, found)
        warning = "UUID=" + UUID + " matches both /dev/sda and /dev/sdb: using /dev/sda"
        assert ("initoverlayfs: " + warning in lines) is warned
        assert fake.now == 0
    find.warn_of_others("UUID=" + UUID, found)
    fake.uevents = [(0, 105)]
    find.warn_of_others("UUID=" + UUID, found)


def test_a_hint_that_matches_is_the_only_device_probed():
    fake, find, lines = finder()
    for name in ("loop1", "vda", "vdb"):
        add_disk(fake, name, disk())
    fake.failures["sc_open /dev/vda"] = 5
    assert find.find("UUID=" + UUID, 5, "/dev/vdb").path == "/dev/vdb"
    assert find.find("UUID=" + UUID, 5, "/dev/loop1").path == "/dev/loop1"
    assert lines == []


def test_a_wrong_hint_has_no_effect():
    fake, find, lines = finder()
    add_disk(fake, "vda", disk(bytes(16)))
    add_disk(fake, "vdb", disk())
    for hint in ("/dev/vda", "/dev/absent", "/dev/disk/by-uuid/x", "/dev/vdb/", ""):
        assert find.find("UUID=" + UUID, 5, hint).path == "/dev/vdb"
    assert fake.now == 0 and lines == []


def add_partition(fake, name, number, label=b""):
    """Add a partition of vda, with a filesystem without UUID and label."""
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


def test_a_raid_member_does_not_match_its_uuid():
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


def test_a_member_of_a_raid_is_a_disk_and_no_partition():
    fake, find, _ = finder()
    content = bytearray(disk()) + bytes(200 * 1024 - 8192)
    content[-1024:-1000] = b"Intel Raid ISM Cfg Sig. "
    for name in ("sda", "sdb1"):
        fake.add("/dev/" + name, bytes(content))
        fake.add("/sys/class/block/" + name + "/size", b"400\n")
    fake.add("/sys/class/block/sdb1/partition", b"1\n")
    assert find.find("/dev/sda", 1) == ("/dev/sda", None, "isw_raid_member")
    assert find.find("UUID=" + UUID, 1).path == "/dev/sdb1"
