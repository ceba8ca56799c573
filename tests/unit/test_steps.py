# SPDX-License-Identifier: MIT
from storage_init.steps import next_environment


def test_what_steers_an_interpreter_is_dropped():
    environ = b"HOME=/\0LD_PRELOAD=/x\0MICROPYINSPECT=1\0PYTHONPATH=/y\0noequals\0A=b\0"
    assert next_environment(environ) == [b"HOME=/", b"A=b"]
    assert next_environment(b"") == []
