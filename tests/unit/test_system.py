# SPDX-License-Identifier: MIT
from test_pid1 import UUID, machine, start

DIRECT = "rd.initoverlayfs=direct root=UUID=" + UUID


def direct(words="", failures=()):
    fake, kernel, _ = machine(DIRECT + " " + words)
    fake.add("/initoverlayfs/sbin/init", b"#!/x\n")
    fake.failures.update(failures)
    return fake, start(fake, kernel)


def test_each_system_call_that_fails_leads_to_the_image():
    for failure, said in (
        ({"sc_mount /dev/vda": 5}, "mount /dev/vda on /initoverlayfs type ext2 ro: errno 5"),
        ({"sc_mount /dev/vda": 19}, "errno 19: there is no driver here for ext2"),
        ({"sc_open /initoverlayfs/sbin/init": 5}, "no init to run: none of /sbin/init"),
    ):
        fake, lines = direct(failures=failure)
        errors = [line for line in lines if line.startswith("<3>initoverlayfs: direct: ")]
        assert len(errors) == 1 and said in errors[0], (failure, lines)


def test_the_init_of_the_command_line_is_the_only_candidate():
    fake, lines = direct("init=/bin/absent")
    errors = [line for line in lines if line.startswith("<3>initoverlayfs: direct: ")]
    assert "no init to run: none of /bin/absent" in errors[0]


def test_flags_among_the_options_of_the_root_filesystem():
    fake, _ = direct("rootflags=noatime,nodiratime,nofail,x-systemd.device-timeout=0,data=ordered")
    mounts = [call for call in fake.calls if call[:2] == ("sc_mount", "/dev/vda")]
    assert mounts == [
        ("sc_mount", "/dev/vda", "/initoverlayfs", "ext2", 1 | 1024 | 2048, "data=ordered")
    ]


def test_the_type_among_several():
    for words, drivers, kind in (
        ("rootfstype=ext2,xfs", b"", "ext2"),
        ("rootfstype=xfs,ext2", b"", "ext2"),
        ("rootfstype=auto", b"", "ext2"),
        ("rootfstype=xfs,btrfs,f2fs", b"nodev\ttmpfs\n\tbtrfs\n", "btrfs"),
        ("rootfstype=xfs,ext4", b"", "ext4"),
        ("rootfstype=xfs,f2fs", b"", "xfs"),
    ):
        fake, kernel, _ = machine(DIRECT + " " + words)
        fake.add("/initoverlayfs/sbin/init", b"#!/x\n")
        fake.add("/proc/filesystems", drivers)
        start(fake, kernel)
        mounts = [call for call in fake.calls if call[:2] == ("sc_mount", "/dev/vda")]
        assert [call[3] for call in mounts] == [kind], words


def test_a_member_of_a_larger_device_is_not_mounted_as_the_configured_type():
    fake, kernel, _ = machine("rd.initoverlayfs=direct root=/dev/vda rootfstype=ext4")
    data = fake.files["/dev/vda"]
    fake.files["/dev/vda"] = b"LUKS\xba\xbe" + data[6:]
    lines = start(fake, kernel)
    text = "direct: /dev/vda holds crypto_LUKS, no filesystem: that takes stage 2"
    assert [line for line in lines if text in line]
    assert ("sc_mount", "/dev/vda") not in [call[:2] for call in fake.calls]
