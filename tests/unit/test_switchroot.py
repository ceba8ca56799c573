# SPDX-License-Identifier: MIT
from support import make, raises

from storage_init import switchroot

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
        error = raises(OSError, switchroot.switch_root, kernel, log, "/n")
        assert error.errno == 1 and error.args[1].startswith("switch root: ")
        assert fake.calls == [] and fake.files == OLD


def test_what_cannot_be_deleted_is_left():
    fake, kernel, log, lines = machine()
    fake.failures["sc_pivot_root"] = 22
    fake.failures["sc_unlink /etc/conf"] = 16
    switchroot.switch_root(kernel, log, "/n")
    assert "/etc/conf" in fake.files and "/usr/lib/x" not in fake.files
    assert "3 entries" in lines[0]


def test_choose_init():
    fake, kernel, _, _ = make({"/n/usr/lib/systemd/systemd": b"", "/n/sbin/init": b""})
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
    error = raises(OSError, switchroot.choose_init, kernel, "/n", ("/a", "/b"))
    assert error.args[1] == "no init in the image: none of /a /b"
