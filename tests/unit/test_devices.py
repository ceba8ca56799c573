# SPDX-License-Identifier: MIT
import json
import struct

from test_elf import header as elf_header
from test_partitions import gpt, header, put
from test_pid1 import UUID, machine, start, stated


def absent(words, configuration="bootfs UUID=" + UUID + "\n"):
    """A machine whose disk is not there, and a driver that a PCI device asks for."""
    fake, kernel, _ = machine(words, configuration)
    del fake.files["/dev/vda"], fake.files["/sys/class/block/vda/size"]
    fake.directories.remove("/sys/class/block/vda")
    fake.add("/sys/bus/pci/devices/0/modalias", b"pci:v1\n")
    fake.add("/usr/lib/initoverlayfs/aliases", b"# pci:6\npci:v1\t*\tvirtio_pci\n")
    fake.files["/usr/lib/initoverlayfs/modules"] += b"virtio_pci\tp.ko\t\t\n"
    fake.add("/usr/lib/modules/6.12.1/p.ko")
    return fake, kernel


def test_the_bound_that_is_stated_holds_while_drivers_are_stuck():
    for words in (
        "",
        "rd.timeout=5 root=UUID=x",
        "rd.timeout=60 rootdelay=7 rootwait=9 root=UUID=x",
        "rd.initoverlayfs=direct rd.timeout=3",
        "rd.initoverlayfs=direct root=UUID=" + UUID,
    ):
        for online in (b"0\n", b"0-7\n"):
            fake, kernel = absent(words)
            fake.files["/sys/devices/system/cpu/online"] = online
            fake.child_ms = 1000000
            lines = start(fake, kernel)
            assert 0 < fake.now <= stated(lines), words


def test_the_bound_holds_while_a_filesystems_module_is_stuck():
    configuration = "bootfs UUID=" + UUID + "\nbootfstype ext4\nbootfs_mount always\n"
    fake, kernel, _ = machine("root=UUID=x rd.timeout=5", configuration)
    fake.child_ms = 1000000
    lines = start(fake, kernel)
    assert fake.now == 25 * 1000000000 and stated(lines) == 30 * 1000000000
    assert [line for line in lines if "previous: load module ext4: timed out" in line]


def test_a_look_that_fails_does_not_silence_that_the_device_is_missing():
    fake, kernel = absent("rd.timeout=3")
    fake.failures["sc_poll"] = 14
    poll = fake.sc_poll

    def once(*arguments):
        result = poll(*arguments)
        fake.failures = {}
        return result

    fake.sc_poll = once
    errors = [line for line in start(fake, kernel) if line.startswith("<3>")]
    assert "image: poll: errno 14" in errors[0] and "previous: wait for UUID=" in errors[1]
    assert len(errors) == 2


def test_rootdelay_comes_before_looking():
    words = "rd.initoverlayfs=direct rootdelay=7 root=UUID=" + UUID
    fake, kernel, _ = machine(words)
    fake.add("/initoverlayfs/sbin/init", b"#!/x\n")
    lines = start(fake, kernel)
    assert fake.now == 7 * 1000000000 and "<6>initoverlayfs: rootdelay: 7 s\n" in lines
    assert json.loads(fake.files["/run/initoverlayfs/boot.json"])["attempt"] == "direct"


def discovering(kind, attributes, words="rw"):
    """The boot filesystem is partition 1 of a disk; partition 3 is of this type."""
    disk = gpt(names=((1, "boot"), (3, "root")))
    put(disk, 1024 + 256, bytes(kind))
    put(disk, 1024 + 256 + 48, struct.pack("<Q", attributes))
    put(disk, 512, header(1, 2, bytes(disk[1024 : 1024 + 16384]), 128))
    fake, kernel, _ = machine("rd.initoverlayfs=direct rd.timeout=2 " + words)
    boot = fake.files["/dev/vda"]
    other = bytearray(boot)
    other[1128] = 0xAA
    fake.files["/dev/vda"] = bytes(disk[: 1024 + 16384])
    fake.files["/sys/class/block/vda/size"] = b"%d\n" % (len(disk) // 512)
    fake.add("/sys/class/block/vda/queue/logical_block_size", b"512\n")
    for number, content in ((1, boot), (3, bytes(other))):
        above = "/sys/class/block/vda{}".format(number)
        fake.add("/dev/vda{}".format(number), content)
        fake.add(above + "/size", b"16\n")
        fake.add(above + "/uevent", b"DEVTYPE=partition\nPARTN=%d\n" % number)
        fake.links[above] = "../../devices/block/vda/vda{}".format(number)
    fake.add("/proc/self/exe", elf_header(62))
    fake.add("/initoverlayfs/sbin/init", b"#!/x\n")
    return fake, kernel


# 4f68bce3-e8cd-4db1-96e7-fbcaf984b709, as it lies on the disk
X86_64 = b"\xe3\xbc\x68\x4f\xcd\xe8\xb1\x4d\x96\xe7\xfb\xca\xf9\x84\xb7\x09"


def test_the_root_partition_is_discovered():
    for attributes, read_only in ((0, 0), (1 << 60, 1)):
        fake, kernel = discovering(X86_64, attributes)
        lines = start(fake, kernel)
        line = "<6>initoverlayfs: root partition /dev/vda3 is /dev/vda3 (ext2)\n"
        assert line in lines and fake.now == 0
        mounted = [call[1:5] for call in fake.calls if call[0] == "sc_mount"]
        assert ("/dev/vda3", "/initoverlayfs", "ext2", read_only) in mounted
        report = json.loads(fake.files["/run/initoverlayfs/boot.json"])
        assert (report["attempt"], report["device"]) == ("direct", "/dev/vda3")


def test_what_is_not_discovered_goes_to_the_image():
    for kind, attributes, why in (
        (bytes(range(16)), 0, "no root-x86-64 partition on /dev/vda: set root="),
        (X86_64, 1 << 63, "the root-x86-64 partition of /dev/vda is marked no-auto: set root="),
    ):
        fake, kernel = discovering(kind, attributes)
        lines = start(fake, kernel)
        assert "<3>initoverlayfs: direct: " + why + "\n" in lines
        assert json.loads(fake.files["/run/initoverlayfs/boot.json"])["attempt"] == "image"


def test_two_boot_filesystems_of_the_same_name_are_no_place_to_discover_a_root():
    fake, kernel = discovering(X86_64, 0)
    fake.add("/dev/vdb", fake.files["/dev/vda1"])
    fake.add("/sys/class/block/vdb/size", b"16\n")
    lines = start(fake, kernel)
    assert [line for line in lines if "direct: UUID=" + UUID + " names two devices" in line]
    assert json.loads(fake.files["/run/initoverlayfs/boot.json"])["attempt"] == "image"


def test_a_partition_that_the_table_has_and_the_kernel_has_not():
    fake, kernel = discovering(X86_64, 0)
    del fake.files["/sys/class/block/vda3/size"]
    lines = start(fake, kernel)
    assert fake.now == 2 * 1000000000
    assert [line for line in lines if "direct: wait for /dev/vda3: timed out after 2 s" in line]
