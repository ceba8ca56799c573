# SPDX-License-Identifier: MIT
import json

from test_pid1 import UUID, machine
from test_udev import DISK, message

from storage_init.boot import service
from storage_init.devices import udev
from storage_init.kernel.calls import Kernel

CONFIGURATION = "bootfs UUID=" + UUID + "\ntimeout 5\ninitoverlayfs_init systemd\n"


def initrd():
    """The machine of test_init, in an initramfs with systemd and without tables of modules."""
    fake, _, _ = machine(configuration=CONFIGURATION)
    fake.add("/etc/initrd-release")
    for name in ("modules", "aliases"):
        del fake.files["/usr/lib/initoverlayfs/" + name]
    fake.pid = 300
    return fake


def run(fake):
    """(exit status, what was written to standard error)."""
    kept = udev.MICROPYTHON
    udev.MICROPYTHON = True  # no pyudev, which would listen to this machine
    try:
        status = service.run(Kernel(fake), "/etc/initoverlayfs.conf", "/proc/cmdline")
    finally:
        udev.MICROPYTHON = kept
    return status, [call[2].decode() for call in fake.calls if call[:2] == ("sc_write", "fd 2")]


def test_it_assembles_and_does_nothing_else():
    fake = initrd()
    status, lines = run(fake)
    assert status == 0
    mounts = [call[2] for call in fake.calls if call[0] == "sc_mount"]
    assert mounts == ["/stage1/boot", "/stage1/image", "/stage1/overlay", "/initoverlayfs"]
    detached = [call[1] for call in fake.calls if call[0] == "sc_umount"]
    assert detached == ["/stage1/boot", "/stage1/overlay", "/stage1/image"]
    assert set(fake.names()) == {"sc_mount", "sc_umount", "sc_write", "sc_loop_configure"}
    assert [line for line in lines if not line.startswith("<6>initoverlayfs: ")] == []
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    assert len(lines) == 7


def test_the_report():
    fake = initrd()
    run(fake)
    report = json.loads(fake.files["/run/initoverlayfs/boot.json"])
    assert report["mode"] == "systemd" and report["attempt"] == "image"
    assert report["device"] == "/dev/vda" and report["attach"] == "loop"


def test_a_device_that_udev_announces():
    fake = initrd()
    size = fake.files.pop("/sys/class/block/vda/size")
    fake.uevents = [(700, message(DISK))]
    poll = fake.sc_poll

    def appear(*arguments):
        fake.add("/sys/class/block/vda/size", size)
        return poll(*arguments)

    fake.sc_poll = appear
    assert run(fake)[0] == 0 and fake.now == 700 * 1000000


def test_a_device_that_never_appears():
    fake = initrd()
    del fake.files["/dev/vda"], fake.files["/sys/class/block/vda/size"]
    fake.directories.remove("/sys/class/block/vda")
    status, lines = run(fake)
    assert status == 1 and fake.now == 5000 * 1000000
    errors = [line for line in lines if not line.startswith("<6>")]
    assert errors == [
        "<3>initoverlayfs: image: wait for UUID="
        + UUID
        + ": timed out after 5 s; seen: no block device\n",
    ]


def test_what_failed_half_way_is_taken_down_again():
    fake = initrd()
    fake.failures["sc_mount overlay"] = 19
    status, lines = run(fake)
    errors = [line for line in lines if line.startswith("<3>")]
    assert status == 1 and errors[0].startswith("<3>initoverlayfs: image: mount overlay on ")
    detached = [call[1] for call in fake.calls if call[0] == "sc_umount"]
    undone = ["/initoverlayfs", "/stage1/overlay", "/stage1/image", "/stage1/boot"]
    assert detached == ["/stage1/boot"] + undone * 2


def test_it_refuses_to_run_outside_an_initramfs():
    fake = initrd()
    del fake.files["/etc/initrd-release"]
    status, lines = run(fake)
    assert status == 1 and len(lines) == 1 and "this is no initramfs" in lines[0]
    assert set(fake.names()) == {"sc_write"}


def test_any_fault_ends_in_exit_status_0_or_1_before_the_deadline():
    fake = initrd()
    run(fake)
    count = fake.total
    assert count > 30
    for number in range(1, count + 1):
        for errno in (2, 5, 12, 16, 22):
            fake = initrd()
            fake.fail_at = (number, errno)
            status, lines = run(fake)
            # an error is said, unless it was the saying that failed
            assert status == 0 or any("<3>" in line for line in lines) or not lines[-1]
            assert fake.now <= 60 * 1000000000


def test_other_exceptions_are_one_line_as_well():
    for error in (MemoryError(), RuntimeError("recursion")):
        fake = initrd()

        def fail(*_, error=error):
            raise error

        fake.sc_mount = fail
        status, lines = run(fake)
        assert status == 1 and lines[-1].startswith("<3>initoverlayfs: ")
