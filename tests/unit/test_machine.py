# SPDX-License-Identifier: MIT
from support import make, raises
from test_pid1 import UUID
from test_pid1 import machine as files

from storage_init.boot.machine import Machine, StillMissing
from storage_init.config.boot_settings import INIT
from storage_init.devices import modprobe, uevent
from storage_init.devices.finder import DeviceMissing


def machine(fake, kernel, log):
    return Machine(kernel, log, INIT, modprobe.none(kernel, log), uevent.Events(kernel), [])


def test_a_device_is_waited_for_once():
    fake, kernel, log = files()
    one = machine(fake, kernel, log)
    raises(DeviceMissing, one.find, "UUID=dead", 3, "")
    assert fake.now == 3 * 1000000000
    raises(StillMissing, one.find, "UUID=dead", 3, "")
    assert fake.now == 3 * 1000000000
    assert one.find("UUID=" + UUID, 3, "").path == "/dev/vda"


def test_nothing_stays_open_after_leaving():
    fake, kernel, log, _ = make()
    one = machine(fake, kernel, log)
    assert fake.open_fds() and not one.root_switched
    one.leave()
    assert fake.open_fds() == [] and one.root_switched
