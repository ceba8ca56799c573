# SPDX-License-Identifier: MIT
import json

from support import Ended, make, raises

from storage_init.boot import prompt
from storage_init.kernel.children import Children
from storage_init.kernel.failure import BootFailure


def machine(status, changes=b"{}"):
    """A console whose prompt ends with this wait status and these changes."""
    fake, kernel, log, lines = make({"/dev/console": b""})
    fake.child_status = status
    write = fake.sc_write

    def answer(fd, data, size):
        result = write(fd, data, size)
        if prompt.CHANGES in fake.files:
            fake.files[prompt.CHANGES] = changes
        return result

    fake.sc_write = answer
    return fake, kernel, log, lines


def ask(kernel, log, last=False):
    kept = prompt.MICROPYTHON
    prompt.MICROPYTHON = True
    try:
        return prompt.ask(kernel, log, Children(kernel, log), "a reason", ["attempt x:"], last)
    finally:
        prompt.MICROPYTHON = kept


def test_how_it_ends():
    for status, going in (
        (prompt.GO << 8, True),
        (0, False),  # Ctrl-D
        (1 << 8, False),
        (2, False),  # a signal
        (prompt.GO, False),
    ):
        fake, kernel, log, lines = machine(status)
        assert ask(kernel, log) is going, status
        assert lines == ["initoverlayfs: rescue prompt on /dev/console: a reason"]
        assert "/dev/console" not in fake.open_fds()
        state = json.loads(fake.files[prompt.STATE])
        assert state == {"why": "a reason", "plan": ["attempt x:"], "last": False}


def test_starting_over():
    _, kernel, log, _ = machine(prompt.RETRY << 8, b'{"bootfs": "LABEL=x"}')
    assert raises(prompt.Retry, ask, kernel, log).changes == {"bootfs": "LABEL=x"}


def test_what_was_asked_for_and_is_not_to_be_read():
    for junk in (b"", b"[]", b'{"bootfs": 1}', b"\xff"):
        _, kernel, log, _ = machine(prompt.RETRY << 8, junk)
        assert raises(prompt.Retry, ask, kernel, log).changes == {}, junk


def test_no_console():
    fake, kernel, log, _ = machine(0)
    fake.failures["sc_open /dev/console"] = 19
    assert "open /dev/console" in raises(OSError, ask, kernel, log).args[1]
    assert "sc_fork" not in fake.names()


def test_what_the_child_becomes():
    fake, kernel, log, _ = machine(0)
    fake.sc_fork = lambda: 0
    raises(Ended, ask, kernel, log)
    names = fake.names()
    assert names.index("sc_take_terminal") < names.index("sc_execve")
    path, argv, environment = [call[1:] for call in fake.calls if call[0] == "sc_execve"][0]
    assert (path, environment) == ("/proc/self/exe", b"TERM=linux\0")
    assert argv.startswith(b"micropython\0-X\0heapsize=1M\0-i\0-c\0")


def test_only_micropython_has_it():
    _, kernel, log, _ = machine(0)
    kept = prompt.MICROPYTHON
    prompt.MICROPYTHON = False
    try:
        raises(BootFailure, prompt.ask, kernel, log, None, "x", [], False)
    finally:
        prompt.MICROPYTHON = kept
