# SPDX-License-Identifier: MIT
import json

from test_pid1 import IMAGE, UUID, machine, start
from test_planning import BOUND


def report(fake):
    return json.loads(fake.files["/run/initoverlayfs/boot.json"])


def device(words="", uuid=None, bound=b""):
    """A machine whose disk is the image itself; uuid: the bytes of its ID."""
    fake, kernel, _ = machine("rd.initoverlayfs.bootfs=/dev/vda rd.initoverlayfs.fs=- " + words)
    data = bytearray(8192)
    data[1024:1028] = b"\xe2\xe1\xf5\xe0"
    data[1072:1088] = uuid or bytes(16)
    fake.files["/dev/vda"] = bytes(data)
    if bound:
        fake.add("/usr/lib/initoverlayfs/image", bound)
    return fake, kernel


def test_the_image_straight_on_a_device():
    fake, kernel = device()
    lines = start(fake, kernel)
    assert "<6>initoverlayfs: image /dev/vda attached: device erofs\n" in lines
    assert (report(fake)["image"], report(fake)["attach"]) == ("-", "device")
    assert "/stage1/boot" not in str([call for call in fake.calls if call[0] == "sc_mount"])


def test_a_device_that_holds_another_image():
    fake, kernel = device("rd.initoverlayfs.verity=off", bytes([1]) * 16, BOUND.encode())
    errors = [line for line in start(fake, kernel) if line.startswith("<3>")]
    assert "and /dev/vda is 01010101-0101-0101-0101-010101010101" in errors[0]


def test_each_system_call_that_fails_ends_the_attempt_and_leaves_nothing_mounted():
    """By loop, since Linux before 6.12 mounts no EROFS from its file."""
    loop = {"sc_mount " + IMAGE: 15}
    for failure in (
        "sc_loop_configure",
        "sc_mount /dev/loop0",
        "sc_mount overlay",
    ):
        fake, kernel, _ = machine()
        fake.failures.update(loop)
        fake.failures[failure] = 5
        lines = start(fake, kernel)
        errors = [line for line in lines if line.startswith("<3>initoverlayfs: image: ")]
        assert errors and "errno 5" in errors[0], (failure, lines)
        assert not fake.mounted & {"/initoverlayfs", "/stage1/image", "/stage1/overlay"}, failure
        assert not [path for path in fake.open_fds() if "loop" in path], failure


def test_an_image_for_another_kernel():
    fake, kernel, _ = machine("root=UUID=" + UUID)
    fake.add("/stage1/image/usr/lib/modules/5.0/modules.dep")
    errors = [line for line in start(fake, kernel) if line.startswith("<3>")]
    assert "image: the image has no modules for Linux 6.12.1" in errors[0]
