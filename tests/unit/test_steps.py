# SPDX-License-Identifier: MIT
from test_init import UUID, machine, start

from storage_init.steps import next_environment


def test_after_the_switch_of_root_no_attempt_follows():
    fake, kernel, _ = machine("rd.initoverlayfs=direct root=UUID=" + UUID)
    fake.add("/initoverlayfs/sbin/init", b"#!/x\n")
    fake.failures["sc_execve /sbin/init"] = 8
    lines = start(fake, kernel)
    assert lines[-1] == "<3>initoverlayfs: direct: exec /sbin/init: errno 8\n"
    assert not [call for call in fake.calls if call[0] == "sc_umount"]


def test_what_steers_an_interpreter_is_dropped():
    environ = b"HOME=/\0LD_PRELOAD=/x\0MICROPYINSPECT=1\0PYTHONPATH=/y\0noequals\0A=b\0"
    assert next_environment(environ) == [b"HOME=/", b"A=b"]
    assert next_environment(b"") == []
