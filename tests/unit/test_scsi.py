# SPDX-License-Identifier: MIT
from support import Ended, make, raises

from storage_init.devices.scsi import Scan
from storage_init.kernel.children import Children

HOST = "/sys/class/scsi_host/host6"


def scan(address="6:0:1:0", there=True):
    """A scan; what it does in a child is done in this process, which ends it."""
    fake, kernel, log, lines = make()
    if there:
        fake.add(HOST + "/scan")
        fake.add(HOST + "/proc_name", b"virtio_scsi\n")
    fake.sc_fork = lambda: 0
    return fake, Scan(kernel, log, Children(kernel, log), address), lines


def test_it_scans_the_one_address():
    fake, one, lines = scan()
    raises(Ended, one.look)
    assert fake.calls == [("sc_write", HOST + "/scan", b"0 1 0\n"), ("sc_exit", 0)]
    assert lines == ["initoverlayfs: scan SCSI address 6:0:1:0, a host of virtio_scsi"]


def test_once():
    fake, one, _ = scan()
    del fake.sc_fork
    one.look()
    one.look()
    assert fake.names() == ["sc_fork"] and one.missing() == ""


def test_not_before_its_host_is_there():
    fake, one, _ = scan("7:0:1:0")
    one.look()
    assert fake.calls == []
    fake.add("/sys/class/scsi_host/host7/scan")
    raises(Ended, one.look)
    assert fake.calls[0] == ("sc_write", "/sys/class/scsi_host/host7/scan", b"0 1 0\n")


def test_a_failure_is_a_warning_that_names_all():
    fake, one, lines = scan()
    fake.failures["sc_write"] = 22
    raises(Ended, one.look)
    assert lines == [
        "initoverlayfs: scan SCSI address 6:0:1:0, a host of virtio_scsi:"
        " write {}/scan: errno 22".format(HOST)
    ]


def test_no_child_to_be_had():
    fake, one, lines = scan()
    del fake.sc_fork
    fake.failures["sc_fork"] = 11
    one.look()
    assert lines == ["initoverlayfs: scan SCSI address 6:0:1:0: fork: errno 11"]


def test_what_is_missing():
    _, one, _ = scan("7:0:1:0", there=False)
    assert one.missing() == "; scsi.addr 7:0:1:0: there is no host7, but none at all"
    _, one, _ = scan("7:0:1:0")
    assert one.missing() == "; scsi.addr 7:0:1:0: there is no host7, but host6 of virtio_scsi"
