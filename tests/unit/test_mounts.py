# SPDX-License-Identifier: MIT
from support import make, raises

from storage_init.boot import mounts


def mounted(fake):
    return [call[1:] for call in fake.calls if call[0] == "sc_mount"]


def test_the_boot_filesystem_is_read_only_whatever_the_options_say():
    assert mounts.options("", 15) == (15, "")
    assert mounts.options("rw,noatime,subvol=@boot", 15) == (15 | 1024, "subvol=@boot")
    fake, kernel, log, lines = make()
    mounts.boot_filesystem(kernel, log, "/dev/vda1", "ext4", "", "/stage1/boot")
    assert mounted(fake) == [("/dev/vda1", "/stage1/boot", "ext4", 15, None)]
    assert lines == [
        "initoverlayfs: mount /dev/vda1 on /stage1/boot type ext4 ro,nosuid,nodev,noexec"
    ]


def test_api_filesystems_that_are_mounted_already_stay():
    fake, kernel, log, _ = make()
    fake.devices = {"/dev": 2, "/proc": 3}
    mounts.api_filesystems(kernel)
    assert [call[2] for call in fake.calls] == ["/sys", "/run"]
    fake.devices.clear()
    fake.failures["sc_mount sysfs"] = 19
    assert raises(OSError, mounts.api_filesystems, kernel).errno == 19


class Loader:
    def __init__(self):
        self.loaded = []

    def load(self, module):
        self.loaded.append(module)


def image(failures):
    fake, kernel, _, _ = make({"/dev/loop-control": b"", "/dev/loop0": b"", "/b/i": b""})
    fake.failures.update(failures)
    loader = Loader()
    how = mounts.image(kernel, loader, "/b/i", "erofs", "/t")
    assert fake.open_fds() == []
    return fake, how, loader.loaded


def test_erofs_from_the_file():
    fake, how, calls = image({})
    assert how == ("file", "file-backed erofs") and calls == []
    assert mounted(fake) == [("/b/i", "/t", "erofs", 1, None)]


def test_else_by_loop():
    for errno in (15, 22, 95):
        fake, how, calls = image({"sc_mount /b/i": errno})
        assert how == ("loop", "loop /dev/loop0 erofs") and calls == ["loop"]
        assert ("sc_loop_configure", "/dev/loop0", "/b/i", 5, 0, 0) in fake.calls
        assert mounted(fake)[1] == ("/dev/loop0", "/t", "erofs", 1, None)


def test_a_bad_image_is_not_tried_twice():
    error = raises(OSError, image, {"sc_mount /b/i": 117})
    assert error.errno == 117 and "mount /b/i on /t type erofs ro" in error.args[1]


def test_overlay():
    fake, kernel, log, _ = make()
    mounts.overlay(kernel, log, "/l", "/u", "size=1M", "/n")
    layers = "lowerdir=/l,upperdir=/u/upper,workdir=/u/work"
    assert mounted(fake) == [
        ("tmpfs", "/u", "tmpfs", 4, "mode=0755,size=1M"),
        ("overlay", "/n", "overlay", 0, layers + ",volatile"),
    ]


def test_overlay_without_volatile():
    fake, kernel, log, _ = make()
    mount = fake.sc_mount
    fake.sc_mount = lambda *a: mount(*a) or (-22 if str(a[4]).endswith("volatile") else 0)
    mounts.overlay(kernel, log, "/l", "/u", "size=1M", "/n")
    assert mounted(fake)[-1][4] == "lowerdir=/l,upperdir=/u/upper,workdir=/u/work"
