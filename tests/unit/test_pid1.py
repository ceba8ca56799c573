# SPDX-License-Identifier: MIT
import json

from support import Ended, exhausted, make, raises

from storage_init.boot import pid1
from storage_init.config.settings import Settings
from storage_init.formats import binding

UUID = "01020304-0506-0708-090a-0b0c0d0e0f10"
IMAGE = "/stage1/boot/initoverlayfs-6.12.1.img"


def machine(command_line="quiet", configuration="bootfs UUID=" + UUID + "\n"):
    boot = bytearray(8192)
    boot[1080:1082] = b"\x53\xef"
    boot[1128:1144] = bytes(range(1, 17))
    image = bytearray(8192)
    image[1024:1028] = b"\xe2\xe1\xf5\xe0"
    files = {
        "/proc/cmdline": command_line.encode() + b"\n",
        "/proc/sys/kernel/osrelease": b"6.12.1\n",
        "/proc/sys/kernel/printk_devkmsg": b"ratelimit\n",
        "/proc/self/environ": b"HOME=/\0TERM=linux\0MICROPYPATH=/x\0LD_PRELOAD=/y\0PYTHONPATH=/z\0",
        "/sys/devices/system/cpu/online": b"0-1\n",
        "/sys/class/block/vda/size": b"100\n",
        "/usr/lib/initoverlayfs/modules": b"# 1\next4\text4.ko\t\t\nerofs\terofs.ko\t\t\n",
        "/usr/lib/initoverlayfs/aliases": b"# virtio:17\n",
        "/usr/lib/modules/6.12.1/ext4.ko": b"",
        "/usr/lib/modules/6.12.1/erofs.ko": b"",
        "/dev/kmsg": b"",
        "/dev/vda": bytes(boot),
        "/dev/loop-control": b"",
        "/dev/loop0": b"",
        IMAGE: bytes(image),
        "/initoverlayfs/init": b"#!/x\n",
        "/run/x": b"",
    }
    if configuration is not None:
        files["/etc/initoverlayfs.conf"] = configuration.encode()
    fake, kernel, log, _ = make(files)
    fake.failures["sc_pivot_root"] = 22
    return fake, kernel, log


def start(fake, kernel, arguments=()):
    from storage_init.kernel.log import Log

    pid1.start(kernel, Log(), Settings(), list(arguments))
    return [call[2].decode() for call in fake.calls if call[:2] == ("sc_write", "/dev/kmsg")]


def stated(lines):
    """Return the longest wait of all attempts that the log states, in nanoseconds."""
    (line,) = [line for line in lines if "initoverlayfs: attempts: " in line]
    return int(line.split("at most ")[1].split(" ")[0]) * 1000000000


def test_a_boot():
    fake, kernel, _ = machine()
    lines = start(fake, kernel, ["single", "a b"])
    last = [call for call in fake.calls if call[0] != "sc_write"][-1]
    assert last == ("sc_execve", "/init", b"/init\0single\0a b\0", b"HOME=/\0TERM=linux\0")
    assert lines[0].startswith("<6>initoverlayfs: storage-init ")
    assert "<6>initoverlayfs: exec /init\n" in lines
    detached = [call[1] for call in fake.calls if call[0] == "sc_umount"]
    assert detached == ["/stage1/boot", "/stage1/overlay", "/stage1/image"]


def test_an_image_on_a_root_filesystem_that_is_mounted_read_write():
    """If stage 1 keeps the root filesystem mounted, stage 2 cannot mount it read-write."""
    always = " rd.initoverlayfs.bootfs_mount=always"
    for words, attempt in (
        ("root=UUID={} rw" + always, "direct"),
        ("root=/dev/vda rw" + always, "direct"),
        ("root=UUID={} ro" + always, "image"),
        ("root=UUID=dead rw" + always, "image"),
        ("root=UUID={} rw", "image"),
    ):
        fake, kernel, _ = machine(words.format(UUID.upper()))
        fake.files["/initoverlayfs/sbin/init"] = b"#!/x\n"
        lines = start(fake, kernel)
        assert json.loads(fake.files["/run/initoverlayfs/boot.json"])["attempt"] == attempt
        refused = [line for line in lines if "image: /dev/vda is also the root filesystem" in line]
        assert len(refused) == (attempt == "direct")


def test_the_report_survives_in_run():
    fake, kernel, _ = machine("rd.initoverlayfs.bootfs_mount=always")
    start(fake, kernel)
    assert json.loads(fake.files["/run/initoverlayfs/boot.json"]) == {
        "attempt": "image",
        "mode": "init",
        "device": "/dev/vda",
        "fstype": "ext2",
        "image": "/initoverlayfs-6.12.1.img",
        "attach": "file",
        "verity": "",
    }


def test_the_image_straight_on_a_device():
    fake, kernel, _ = machine(configuration="bootfs UUID=" + UUID + "\nfs -\n")
    lines = start(fake, kernel)
    assert "<6>initoverlayfs: image /dev/vda attached: device ext2\n" in lines
    mounted = [call[1:4] for call in fake.calls if call[0] == "sc_mount"]
    assert ("/dev/vda", "/stage1/image", "ext2") in mounted
    report = json.loads(fake.files["/run/initoverlayfs/boot.json"])
    assert (report["image"], report["attach"]) == ("-", "device")
    assert "sc_execve" in fake.names()


def test_one_processor_loads_nothing_ahead():
    fake, kernel, _ = machine()
    fake.files["/sys/devices/system/cpu/online"] = b"0\n"
    start(fake, kernel)
    assert "sc_fork" not in fake.names() and "sc_execve" in fake.names()
    loaded = [call[1] for call in fake.calls if call[0] == "sc_finit_module"]
    assert loaded == ["/usr/lib/modules/6.12.1/" + name for name in ("ext4.ko", "erofs.ko")]


def test_a_scsi_address_is_scanned_in_a_child():
    for online in (b"0\n", b"0-1\n"):
        fake, kernel, _ = machine("scsi.addr=3:0:1:0 rd.initoverlayfs.timeout=1")
        fake.files["/sys/devices/system/cpu/online"] = online
        fake.add("/sys/class/scsi_host/host3/scan")
        del fake.files["/sys/class/block/vda/size"]
        fake.directories.remove("/sys/class/block/vda")
        start(fake, kernel)
        # on two processors, what is loaded ahead has one too
        assert fake.names().count("sc_fork") == (2 if b"-" in online else 1)


def test_the_configuration_may_be_absent():
    fake, kernel, _ = machine("rd.initoverlayfs.bootfs=UUID=" + UUID, None)
    start(fake, kernel)
    assert "sc_execve" in fake.names()
    fake, kernel, _ = machine("quiet", None)
    lines = start(fake, kernel)
    assert "no boot filesystem is configured" in lines[2] and "sc_execve" not in fake.names()
    assert "direct: there is no root= on the kernel command line, and no bootfs" in lines[3]


def test_tables_that_are_no_text_do_no_harm():
    fake, kernel, _ = machine()
    for name in ("modules", "aliases"):
        fake.files["/usr/lib/initoverlayfs/" + name] = bytes(range(256))
    lines = start(fake, kernel)
    assert (
        "<4>initoverlayfs: /usr/lib/initoverlayfs/modules lists no module; loading none\n" in lines
    )
    assert "sc_execve" in fake.names()


def test_memory_exhausted_before_the_first_attempt():
    """The boot continues without the file that did not fit in memory, and one line names it."""
    words = "rd.initoverlayfs.bootfs=UUID=" + UUID
    for path in (
        "/etc/initoverlayfs.conf",
        "/proc/cmdline",
        "/usr/lib/initoverlayfs/modules",
        "/usr/lib/initoverlayfs/aliases",
    ):
        fake, kernel, _ = machine(words)
        fake.sc_read = exhausted(fake, path)
        lines = start(fake, kernel)
        (line,) = [line for line in lines if "MemoryError" in line]
        assert "<4>initoverlayfs: read {}: MemoryError; ".format(path) in line
        assert "sc_execve" in fake.names(), path


def test_memory_exhausted_by_the_kernels_release():
    fake, kernel, _ = machine("rd.initoverlayfs.path=/initoverlayfs-6.12.1.img")
    fake.sc_read = exhausted(fake, "/proc/sys/kernel/osrelease")
    lines = start(fake, kernel)
    assert "on Linux unknown" in [line for line in lines if "storage-init " in line][0]
    assert len([line for line in lines if "MemoryError" in line]) == 1


def test_memory_exhausted_by_the_binding():
    """No image is used, as for a malformed binding. The root filesystem boots directly."""
    fake, kernel, _ = machine("root=UUID=" + UUID)
    fake.add(binding.PATH, b"id x\n")
    fake.files["/initoverlayfs/sbin/init"] = b"#!/x\n"
    fake.sc_read = exhausted(fake, binding.PATH)
    start(fake, kernel)
    assert json.loads(fake.files["/run/initoverlayfs/boot.json"])["attempt"] == "direct"


def test_warnings_are_logged_and_the_boot_goes_on():
    fake, kernel, _ = machine("rd.initoverlayfs.timeout=soon")
    lines = start(fake, kernel)
    assert "<4>" in lines[1] and "timeout ignored" in lines[1]
    assert "sc_execve" in fake.names()


def test_a_truncated_image_is_refused():
    fake, kernel, _ = machine()
    data = bytearray(fake.files[IMAGE])
    data[1036] = 12
    data[1060] = 200
    fake.files[IMAGE] = bytes(data)
    lines = start(fake, kernel)
    assert len([line for line in lines if "is cut off: 8192 of 819200 bytes" in line]) == 1
    assert (
        "previous: there is no other image: open /initoverlayfs-6.12.1.img.previous in "
        in lines[-2]
    )


def test_the_image_before_this_one_is_next():
    fake, kernel, _ = machine()
    fake.files[IMAGE + ".previous"] = fake.files[IMAGE]
    fake.files[IMAGE] = b"garbage"
    lines = start(fake, kernel)
    assert "sc_execve" in fake.names()
    assert len([line for line in lines if line.startswith("<3>initoverlayfs: image: ")]) == 1
    report = json.loads(fake.files["/run/initoverlayfs/boot.json"])
    assert (report["attempt"], report["image"]) == (
        "previous",
        "/initoverlayfs-6.12.1.img.previous",
    )


def test_direct():
    fake, kernel, _ = machine("rd.initoverlayfs=direct rw rootflags=noatime,a root=UUID=" + UUID)
    fake.add("/initoverlayfs/sbin/init", b"#!/x\n")
    lines = start(fake, kernel)
    mounted = [call[1:] for call in fake.calls if call[0] == "sc_mount"]
    assert ("/dev/vda", "/initoverlayfs", "ext2", 1024, "a") in mounted
    assert "<6>initoverlayfs: exec /sbin/init\n" in lines
    assert json.loads(fake.files["/run/initoverlayfs/boot.json"])["attempt"] == "direct"


def test_a_root_that_stage_1_cannot_mount_goes_to_the_image():
    fake, kernel, _ = machine("rd.initoverlayfs=direct root=/dev/mapper/x")
    lines = start(fake, kernel)
    assert "<3>initoverlayfs: direct: root=/dev/mapper/x requires stage 2\n" in lines
    assert json.loads(fake.files["/run/initoverlayfs/boot.json"])["attempt"] == "image"


def test_a_device_is_waited_for_once():
    fake, kernel, _ = machine("rd.timeout=5 root=UUID=" + UUID, "bootfs UUID=" + UUID + "\n")
    del fake.files["/dev/vda"], fake.files["/sys/class/block/vda/size"]
    fake.directories.remove("/sys/class/block/vda")
    lines = start(fake, kernel)
    assert fake.now == 5 * 1000000000
    # One line says so, not one for each attempt.
    assert len(lines) == 3 and "image: wait for UUID=" in lines[2] and "after 5 s" in lines[2]


def test_a_fault_in_any_system_call_neither_ends_nor_hangs_pid_1():
    fake, kernel, _ = machine()
    start(fake, kernel)
    count = fake.total
    assert count > 60
    for number in range(1, count + 1):
        for errno in (2, 5, 12, 16, 22):
            fake, kernel, _ = machine()
            fake.fail_at = (number, errno)
            lines = start(fake, kernel)  # returns, whatever happened
            assert fake.now <= (stated(lines) if len(lines) > 2 else 0)


def test_other_exceptions_do_not_end_pid_1_either():
    for error in (MemoryError(), RuntimeError("recursion"), KeyboardInterrupt(), SystemExit(1)):
        fake, kernel, _ = machine()

        def fail(*_, error=error):
            raise error

        fake.sc_chdir = fail
        assert len(start(fake, kernel)) > 3


def test_emergency_waits_says_what_it_does_and_does_it():
    for how, command in (("reboot", 0x01234567), ("poweroff", 0x4321FEDC), ("halt", 0xCDEF0123)):
        fake, kernel, log, lines = make()
        raises(Ended, pid1.emergency, kernel, log, how, 10)
        assert fake.now == 10 * 1000000000
        assert fake.calls == [("sc_fork",), ("sc_reboot", command)]
        assert lines == ["initoverlayfs: no way to boot left: " + how + " in 10 s"]


def test_a_sync_that_hangs_or_cannot_start_does_not_prevent_the_reboot():
    for failures, child_ms, seconds in (({}, 1 << 40, 20), ({"sc_fork": 11}, 0, 10)):
        fake, kernel, log, lines = make()
        fake.child_ms = child_ms
        fake.failures.update(failures)
        raises(Ended, pid1.emergency, kernel, log, "reboot", 10)
        assert fake.now == seconds * 1000000000 and fake.names()[-1] == "sc_reboot"
        assert lines[1].startswith("initoverlayfs: sync: ")


def test_without_dev_kmsg_lines_go_to_the_console():
    fake, kernel, _ = machine()
    del fake.files["/dev/kmsg"]
    fake.failures["sc_open /dev/kmsg"] = 2
    start(fake, kernel)
    written = [call[2] for call in fake.calls if call[:2] == ("sc_write", "fd 2")]
    assert b"<6>initoverlayfs: exec /init\n" in written
