# SPDX-License-Identifier: MIT
from support import Ended, make, raises

from storage_init.devices.scsi import Scan
from storage_init.kernel.children import Children

HOST = "/sys/class/scsi_host/host6"


def scan(address="6:0:1:0", there=True):
    """Return (fake, Scan, log lines). The child's work runs in this process and raises Ended."""
    fake, kernel, log, lines = make()
    if there:
        fake.add(HOST + "/scan")
        fake.add(HOST + "/proc_name", b"virtio_scsi\n")
    fake.sc_fork = lambda: 0
    return fake, Scan(kernel, log, Children(kernel, log), address), lines


def test_scan_writes_channel_target_and_lun():
    fake, one, lines = scan()
    raises(Ended, one.start)
    assert fake.calls == [("sc_write", HOST + "/scan", b"0 1 0\n"), ("sc_exit", 0)]
    assert lines == ["initoverlayfs: scan SCSI address 6:0:1:0 (driver virtio_scsi)"]


def test_scan_runs_once():
    fake, one, _ = scan()
    del fake.sc_fork
    one.start()
    one.start()
    assert fake.names() == ["sc_fork"] and one.missing() == ""


def test_scan_waits_for_its_host():
    fake, one, _ = scan("7:0:1:0")
    one.start()
    assert fake.calls == []
    fake.add("/sys/class/scsi_host/host7/scan")
    raises(Ended, one.start)
    assert fake.calls[0] == ("sc_write", "/sys/class/scsi_host/host7/scan", b"0 1 0\n")


def test_a_failure_names_address_driver_and_file():
    fake, one, lines = scan()
    fake.failures["sc_write"] = 22
    raises(Ended, one.start)
    assert lines == [
        "initoverlayfs: scan SCSI address 6:0:1:0 (driver virtio_scsi):"
        " write {}/scan: errno 22".format(HOST)
    ]


def test_a_failed_fork_is_a_warning():
    fake, one, lines = scan()
    del fake.sc_fork
    fake.failures["sc_fork"] = 11
    one.start()
    assert lines == ["initoverlayfs: scan SCSI address 6:0:1:0: fork: errno 11"]


def test_missing_lists_the_hosts():
    _, one, _ = scan("7:0:1:0", there=False)
    assert one.missing() == "; scsi.addr 7:0:1:0: host7 does not exist; SCSI hosts: none"
    _, one, _ = scan("7:0:1:0")
    assert (
        one.missing()
        == "; scsi.addr 7:0:1:0: host7 does not exist; SCSI hosts: host6 (virtio_scsi)"
    )
