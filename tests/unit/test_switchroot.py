# SPDX-License-Identifier: MIT
from support import make, raises
from test_elf import header

from storage_init.boot import switchroot
from storage_init.kernel.failure import BootFailure

OLD = {"/init": b"", "/usr/lib/x": b"", "/etc/conf": b"", "/n/keep": b"", "/odd/file": b""}


def machine():
    fake, kernel, log, lines = make(OLD)
    fake.devices = {"/n": 2, "/odd": 3}
    return fake, kernel, log, lines


def changed(fake):
    return [call[:3] for call in fake.calls if call[0] != "sc_unlink"]


def test_by_moving_the_mount():
    fake, kernel, log, lines = machine()
    fake.failures["sc_pivot_root"] = 22
    assert switchroot.switch_root(kernel, log, "/n") == "MS_MOVE"
    assert changed(fake) == [
        ("sc_mount", "/dev", "/n/dev"),
        ("sc_mount", "/proc", "/n/proc"),
        ("sc_mount", "/sys", "/n/sys"),
        ("sc_mount", "/run", "/n/run"),
        ("sc_chdir", "/n"),
        ("sc_pivot_root", ".", "."),
        ("sc_mount", ".", "/"),
        ("sc_chroot", "."),
        ("sc_chdir", "/"),
    ]
    # Everything of the old root is gone, nothing of what is mounted on it.
    assert sorted(fake.files) == ["/n/keep", "/odd/file"]
    assert "/usr" not in fake.directories and fake.open_fds() == []
    assert lines == ["initoverlayfs: old initramfs: 2 entries could not be deleted"]


def test_by_pivot_root_nothing_is_deleted():
    fake, kernel, log, _ = machine()
    assert switchroot.switch_root(kernel, log, "/n") == "pivot_root"
    assert changed(fake)[-3:] == [
        ("sc_pivot_root", ".", "."),
        ("sc_umount", ".", 2),
        ("sc_chdir", "/"),
    ]
    assert fake.files == OLD


def test_refusals_come_before_any_change():
    def not_first(fake):
        fake.pid = 7

    def disk_root(fake):
        fake.magic = 0xEF53

    def not_mounted(fake):
        fake.devices = {}

    for spoil in (not_first, disk_root, not_mounted):
        fake, kernel, log, _ = machine()
        spoil(fake)
        error = raises(BootFailure, switchroot.switch_root, kernel, log, "/n")
        assert error.args[0].startswith("switch root: ")
        assert fake.calls == [] and fake.files == OLD


def test_what_cannot_be_deleted_is_left():
    fake, kernel, log, lines = machine()
    fake.failures["sc_pivot_root"] = 22
    fake.failures["sc_unlink /etc/conf"] = 16
    switchroot.switch_root(kernel, log, "/n")
    assert "/etc/conf" in fake.files and "/usr/lib/x" not in fake.files
    assert "3 entries" in lines[0]


def moves(fake):
    return [call[1:3] for call in fake.calls if call[0] == "sc_mount"]


def test_a_switch_that_fails_moves_back_what_it_has_moved():
    there = [(path, "/n" + path) for path in ("/dev", "/proc", "/sys", "/run")]
    for failure, errno, count, root in (
        ("sc_mkdir /n/dev", 30, 0, False),
        ("sc_mkdir /n/sys", 30, 2, False),
        ("sc_mount /run", 22, 3, False),
        ("sc_chdir /n", 5, 4, False),
        ("sc_pivot_root", 16, 4, False),
        ("sc_mount .", 22, 4, False),
        ("sc_chroot", 1, 4, True),
    ):
        fake, kernel, log, lines = machine()
        fake.failures["sc_pivot_root"] = 22
        fake.failures[failure] = errno
        error = raises(OSError, switchroot.switch_root, kernel, log, "/n")
        assert error.errno == errno and fake.open_fds() == [] and lines == [], failure
        back = [(now, path) for path, now in reversed(there[:count])]
        assert moves(fake)[len(moves(fake)) - count :] == back
        assert ((".", "/n") in moves(fake)) is root
        # The way back does not start inside the new root.
        if count:
            assert fake.calls[-1] == ("sc_chdir", "/")
        assert fake.files == OLD


def test_what_cannot_be_moved_back_is_logged_and_the_rest_is():
    fake, kernel, log, lines = machine()
    fake.failures = {"sc_chdir /n": 5, "sc_mount /n/proc": 16}
    error = raises(OSError, switchroot.switch_root, kernel, log, "/n")
    assert error.args[1] == "change directory to /n: errno 5"
    assert moves(fake)[-3:] == [("/n/sys", "/sys"), ("/n/proc", "/proc"), ("/n/dev", "/dev")]
    assert lines == ["initoverlayfs: mount /n/proc on /proc move: errno 16"]


def test_beyond_the_point_of_no_return_nothing_fails():
    for failure, pivot in (
        ("sc_chdir /", 22),
        ("sc_getdents /", 22),
        ("sc_umount", 0),
        ("sc_chdir /", 0),
    ):
        fake, kernel, log, lines = machine()
        fake.failures = {failure: 5}
        if pivot:
            fake.failures["sc_pivot_root"] = pivot
        how = switchroot.switch_root(kernel, log, "/n")
        assert how == ("MS_MOVE" if pivot else "pivot_root") and fake.open_fds() == []
        assert len(lines) == 1 and lines[0].startswith("initoverlayfs: old initramfs: ")


def test_choose_init():
    fake, kernel, _, _ = make({"/n/usr/lib/systemd/systemd": b"#!/x\n", "/n/sbin/init": header(62)})
    both = ("/init", "/sbin/init")
    assert switchroot.choose_init(kernel, "/n", both) == "/sbin/init"
    fake.links["/n/init"] = "/usr/lib/systemd/systemd"
    assert switchroot.choose_init(kernel, "/n", both) == "/init"
    fake.links["/n/init"] = "usr/lib/systemd/systemd"
    assert switchroot.choose_init(kernel, "/n", both) == "/init"
    fake.links["/n/init"] = "/nowhere"
    assert switchroot.choose_init(kernel, "/n", both) == "/sbin/init"
    fake.links["/n/init"] = "init"  # a link to itself
    assert switchroot.choose_init(kernel, "/n", both) == "/sbin/init"
    error = raises(BootFailure, switchroot.choose_init, kernel, "/n", ("/a", "/b"))
    assert error.args[0] == "no init to run: none of /a /b"


def test_an_init_that_cannot_run_is_passed_over():
    own = {"/proc/self/exe": header(62)}
    for content, why in (
        (b"", "/init is empty"),
        (b"garbage" * 9, "/init is no program"),
        (header(183), "/init is for arm64"),
        (header(243), "/init is for riscv64"),
    ):
        files = dict(own)
        files["/n/init"] = content
        fake, kernel, _, _ = make(files)
        error = raises(BootFailure, switchroot.choose_init, kernel, "/n", ("/init", "/sbin/init"))
        assert error.args[0] == "no init to run: none of /init /sbin/init; " + why
        fake.add("/n/sbin/init", header(3, 32))
        assert switchroot.choose_init(kernel, "/n", ("/init", "/sbin/init")) == "/sbin/init"
        assert fake.open_fds() == []
    fake, kernel, _, _ = make({"/n/init": b"#!/bin/sh\n"})
    fake.directories.add("/n/sbin/init")
    assert switchroot.choose_init(kernel, "/n", ("/sbin/init", "/init")) == "/init"
    error = raises(BootFailure, switchroot.choose_init, kernel, "/n", ("/sbin/init",))
    assert error.args[0].endswith("; /sbin/init is not executable")
