# SPDX-License-Identifier: MIT
from support import make, raises

from storage_init.boot.steps.leave import detach, next_environment


def test_what_steers_an_interpreter_is_dropped():
    environ = b"HOME=/\0LD_PRELOAD=/x\0MICROPYINSPECT=1\0PYTHONPATH=/y\0noequals\0A=b\0"
    assert next_environment(environ) == [b"HOME=/", b"A=b"]
    assert next_environment(b"") == []


def test_detaching_what_is_not_mounted_is_no_error():
    for errno, fails in ((22, False), (2, False), (16, True)):
        fake, kernel, _, _ = make()
        fake.failures["sc_umount"] = errno
        if fails:
            assert raises(OSError, detach, kernel, "/x").errno == errno
        else:
            detach(kernel, "/x")
