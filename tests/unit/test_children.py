# SPDX-License-Identifier: MIT
from support import Ended, make, raises

from storage_init.kernel.children import Children


def test_wait_returns_the_status():
    fake, kernel, log, _ = make()
    fake.child_status = 256
    children = Children(kernel, log)
    pid = children.start(lambda: None)
    assert children.wait(pid, 1000) == 256 and children.wait(pid, 0) == 256


def test_wait_times_out():
    fake, kernel, log, _ = make()
    children = Children(kernel, log)
    pid = children.start(lambda: None)
    fake.failures["sc_waitpid"] = 10
    error = raises(OSError, children.wait, pid, 500)
    assert error.errno == 110 and fake.now == 500 * 1000000


def test_the_child_exits_even_if_its_work_raises():
    fake, kernel, log, lines = make()
    children = Children(kernel, log)
    fake.sc_fork = lambda: 0

    def work():
        raise OSError(5, "it broke")

    raises(Ended, children.start, work)
    assert fake.calls[-1] == ("sc_exit", 1) and lines == ["initoverlayfs: it broke"]
    raises(Ended, children.start, lambda: None)
    assert fake.calls[-1] == ("sc_exit", 0)
