# SPDX-License-Identifier: MIT
import binascii
import json

from test_pid1 import machine, start
from test_planning import BOUND, UUID

SSSE3 = b"cpu:type:x86,ven0002:feature:,0089\n"


def hashing(modalias, verity, words="", failures=(), online=b"0\n"):
    """A machine that has modules for hashing; its disk is an image, with a hash tree or without."""
    fake, kernel, _ = machine("rd.initoverlayfs.bootfs=/dev/vda rd.initoverlayfs.fs=- " + words)
    data = bytearray(8192)
    data[1024:1028] = b"\xe2\xe1\xf5\xe0"
    data[1072:1088] = binascii.unhexlify(UUID.replace("-", ""))
    fake.files["/dev/vda"] = bytes(data)
    fake.files["/sys/devices/system/cpu/online"] = online
    fake.add("/sys/devices/system/cpu/modalias", modalias)
    fake.add("/dev/mapper/control")
    fake.add("/initoverlayfs/l")
    for name in ("sha256_ssse3", "sha256_generic", "dm_verity"):
        line = "{0}\t{0}.ko\t\t\n".format(name)
        fake.files["/usr/lib/initoverlayfs/modules"] += line.encode()
        fake.add("/usr/lib/modules/6.12.1/" + name + ".ko")
    if verity:
        fake.add("/usr/lib/initoverlayfs/image", BOUND.encode())
    fake.failures.update(failures)
    return fake, kernel


def loaded(fake):
    return [call[1].split("/")[-1][:-3] for call in fake.calls if call[0] == "sc_finit_module"]


def test_the_hashes_of_this_cpu_come_before_all_other_modules():
    for modalias, verity, first in (
        (SSSE3, False, ["sha256_ssse3"]),
        (b"cpu:type:x86,ven0002:feature:,0001\n", False, []),
        (SSSE3, True, ["sha256_ssse3"]),
        (b"", True, ["sha256_generic"]),
    ):
        fake, kernel = hashing(modalias, verity)
        start(fake, kernel)
        assert loaded(fake)[: len(first)] == first, loaded(fake)
        assert [name for name in loaded(fake) if name.startswith("sha")] == first


def test_the_hashes_of_this_cpu_are_left_to_the_blacklist():
    for verity, first in ((False, []), (True, ["sha256_generic"])):
        fake, kernel = hashing(SSSE3, verity, "modprobe.blacklist=sha256-ssse3")
        start(fake, kernel)
        assert [name for name in loaded(fake) if name.startswith("sha")] == first


def test_hashes_that_fail_are_no_reason_not_to_verify():
    """A child fails to load them, and so does this process: the kernel has them in plain C."""
    path = "sc_finit_module /usr/lib/modules/6.12.1/sha256_ssse3.ko"
    fake, kernel = hashing(SSSE3, True, "rd.debug", {path: 19}, b"0-1\n")
    fake.child_status = 256
    lines = start(fake, kernel)
    assert "sc_fork" in fake.names() and {"sha256_ssse3", "dm_verity"} <= set(loaded(fake))
    assert [line for line in lines if "load module" in line and "errno 19" in line]
    report = json.loads(fake.files["/run/initoverlayfs/boot.json"])
    assert report["attempt"] == "image" and report["verity"] == "ab" * 32
