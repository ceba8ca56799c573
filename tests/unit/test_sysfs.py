# SPDX-License-Identifier: MIT
from support import make, raises
from test_partitions import DISK, TEXT, gpt, logicals

from storage_init.devices import sysfs

UUID_1 = TEXT[:-2] + "01"


def machine(disk="vda", sector=512, data=None):
    """Return (fake, Tables) for a disk with partitions 1 and 3, whose uevents lack PARTUUID."""
    fake, kernel, _, _ = make()
    above = "/sys/class/block/" + disk
    content = gpt(sector) if data is None else data
    fake.add(sysfs.device_path(disk), bytes(content[:24576]))
    fake.add(above + "/size", b"%d\n" % (DISK // 512))
    fake.add(above + "/uevent", b"MAJOR=1\nDEVTYPE=disk\n")
    fake.add(above + "/queue/logical_block_size", b"%d\n" % sector)
    for number, label in ((1, b"boot"), (3, b"a label")):
        add_partition(fake, disk, disk + str(number), number, b"PARTNAME=" + label + b"\n")
    return fake, sysfs.Tables(kernel)


def add_partition(fake, disk, name, number, more=b""):
    above = "/sys/class/block/" + name
    fake.links[above] = "../../devices/pci/block/{}/{}".format(disk, name)
    fake.add(above + "/uevent", b"DEVTYPE=partition\nPARTN=%d\n" % number + more)
    fake.add(above + "/partition", b"%d\n" % number)


def test_partuuid_from_the_partition_table():
    for sector in (512, 4096):
        fake, tables = machine(sector=sector)
        assert tables.matches("vda1", "PARTUUID=" + UUID_1)
        assert tables.matches("vda1", "PARTUUID=" + UUID_1.upper())
        assert not tables.matches("vda3", "PARTUUID=" + UUID_1)
        assert fake.open_fds() == []


def test_around_returns_the_disk_and_its_partitions():
    for disk in ("vda", "nvme0n1"):
        fake, tables = machine(disk)
        found, table = tables.around(disk + "1")
        assert found == disk and [one.number for one in table] == [1, 3, 128]
        assert tables.around(disk) == ("", []) and fake.open_fds() == []
    fake.failures["sc_pread"] = 5
    tables.forget("nvme0n1")
    raises(OSError, tables.around, "nvme0n11")
    fake, tables = machine(data=bytes(24576))
    assert tables.around("vda1") == ("vda", [])


def test_partition_paths():
    for disk, path in (
        ("sda", "/dev/sda2"),
        ("nvme0n1", "/dev/nvme0n1p2"),
        ("mmcblk0", "/dev/mmcblk0p2"),
        ("cciss!c0d0", "/dev/cciss/c0d0p2"),
    ):
        assert sysfs.partition_path(disk, 2) == path


def test_partuuid_from_the_uevent():
    fake, tables = machine()
    fake.files["/sys/class/block/vda1/uevent"] += b"PARTUUID=ABC-01\n"
    fake.failures["sc_open /dev/vda"] = 5
    assert tables.matches("vda1", "PARTUUID=abc-01")
    assert not tables.matches("vda1", "PARTUUID=" + UUID_1)


def test_partlabel_from_the_uevent():
    fake, tables = machine()
    fake.failures["sc_open /dev/vda"] = 5
    assert tables.matches("vda1", "PARTLABEL=boot") and tables.matches("vda3", "PARTLABEL=a label")
    assert not tables.matches("vda1", "PARTLABEL=Boot")
    add_partition(fake, "vda", "vda4", 4)
    assert not tables.matches("vda4", "PARTLABEL=boot")


def test_a_partlabel_that_the_uevent_garbles_comes_from_the_table():
    fake, tables = machine(data=gpt(names=((1, "B\xf6\u0142"), (3, "a!"))))
    fake.files["/sys/class/block/vda1/uevent"] = b"DEVTYPE=partition\nPARTN=1\nPARTNAME=B\xf6B\n"
    assert tables.matches("vda1", "PARTLABEL=B\xf6\u0142")
    assert not tables.matches("vda1", "PARTLABEL=B\xf6B")
    assert tables.matches("vda3", "PARTLABEL=a!") and not tables.matches("vda1", "PARTLABEL=a!")


def test_a_uevent_without_partn_and_partname():
    fake, tables = machine()
    fake.files["/sys/class/block/vda3/uevent"] = b"DEVTYPE=partition\n"
    assert tables.matches("vda3", "PARTLABEL=a label")
    assert not tables.matches("vda3", "PARTLABEL=boot")


def test_a_logical_partition_of_an_mbr():
    fake, tables = machine(data=logicals())
    add_partition(fake, "vda", "vda7", 7)
    assert tables.matches("vda7", "PARTUUID=DEADBEEF-07")
    assert not tables.matches("vda7", "PARTUUID=deadbeef-7")


def test_device_names_with_a_slash():
    fake, tables = machine("cciss!c0d0")
    add_partition(fake, "cciss!c0d0", "cciss!c0d0p1", 1)
    assert tables.matches("cciss!c0d0p1", "PARTUUID=" + UUID_1)
    assert sysfs.device_path("cciss!c0d0") == "/dev/cciss/c0d0"


def test_whole_disks_and_other_references_do_not_match():
    fake, tables = machine()
    assert not tables.matches("vda", "PARTUUID=" + UUID_1)
    for reference in ("UUID=" + UUID_1, "PARTUUID=", "PARTLABEL=", "/dev/vda1", ""):
        assert not tables.matches("vda1", reference)


def test_a_table_is_cached_until_forget():
    fake, tables = machine()
    assert tables.matches("vda1", "PARTUUID=" + UUID_1)
    fake.files["/dev/vda"] = bytes(8192)
    assert tables.matches("vda1", "PARTUUID=" + UUID_1)
    tables.forget("vda")
    assert not tables.matches("vda1", "PARTUUID=" + UUID_1)


def test_an_unreadable_table_raises():
    fake, tables = machine()
    fake.failures["sc_pread /dev/vda"] = 5
    assert raises(OSError, tables.matches, "vda1", "PARTUUID=x").errno == 5
    assert fake.open_fds() == []


def test_sizes():
    fake, kernel, _, _ = make({"/sys/class/block/a/size": b"3\n", "/sys/class/block/b/size": b"?"})
    assert sysfs.size(kernel, "a") == 1536 and sysfs.size(kernel, "b") == 0
    fake.add("/sys/dev/block/259:1048577/size", b"8\n")
    assert sysfs.size_of_number(kernel, 259 << 8 | 1 | 1 << 32) == 4096
    assert sysfs.size_of_number(kernel, 5) == 0
