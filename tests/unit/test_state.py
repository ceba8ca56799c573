# SPDX-License-Identifier: MIT
from support import make

from storage_init.boot.state import AttemptState
from storage_init.devices.finder import Device


def test_the_report():
    state = AttemptState([], "image", "init")
    state.take_device(Device("/dev/vda", None, "unknown"))
    assert state.report == {"mode": "init", "attempt": "image"}
    state.take_filesystem("ext4")
    state.take_attached("/i", "loop", "ab")
    assert state.report == {
        "mode": "init",
        "attempt": "image",
        "device": "/dev/vda",
        "fstype": "ext4",
        "image": "/i",
        "attach": "loop",
        "verity": "ab",
    }


def test_where_it_stands():
    state = AttemptState([], "image", "init")
    assert state.position == ("image", 0)
    state.take_step(4)
    assert state.position == ("image", 4)


def test_a_backing_is_released_once():
    fake, kernel, log, lines = make({"/dev/loop0": b"", "/dev/mapper/control": b""})
    state = AttemptState([], "image", "init")
    state.release_backing(kernel, log)
    state.take_backing("/dev/dm-0", kernel.open("/dev/loop0"), "joined")
    fake.failures["sc_dm_remove"] = 16
    state.release_backing(kernel, log)
    assert fake.open_fds() == [] and state.backing is None
    assert lines == ["initoverlayfs: remove the device-mapper device joined: errno 16"]
