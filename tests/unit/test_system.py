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
