# SPDX-License-Identifier: MIT
"""storage-init receives udev's messages on a netlink socket, in a network namespace."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import built
import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="requires root, for a network namespace")

ROOT = Path(__file__).resolve().parent.parent.parent

RECEIVE = """
from storage_init.kernel import compat
from storage_init.devices import uevent, udev
from storage_init.kernel.abi import UEVENT_UDEV
from storage_init.kernel.calls import Kernel
kernel = Kernel(compat.syscalls)
events = uevent.Events(kernel, UEVENT_UDEV, udev.parse)
kernel.write(1, b"open\\n", "standard output")
for _ in range(3):
    kernel.poll([events.fd], 20000)
    event = events.receive()
    kernel.write(1, (event.get("DEVNAME", "nothing") + "\\n").encode(), "standard output")
"""

# Send garbage, udev's message, and the same message as another user with CAP_NET_ADMIN.
SEND = """
import ctypes, os, socket, sys
good = bytes.fromhex(sys.argv[1])
plain = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
plain.bind((0, 2))
sender = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
sender.sendto(b"garbage", (0, 2))
sender.sendto(good, (0, 2))
ctypes.CDLL(None).prctl(8, 1)  # PR_SET_KEEPCAPS
os.setresuid(65534, 65534, 65534)
header = (ctypes.c_uint * 2)(0x20080522, 0)
sets = (ctypes.c_uint * 6)(1 << 12, 1 << 12, 0, 0, 0, 0)  # CAP_NET_ADMIN
assert ctypes.CDLL(None).capset(header, sets) == 0
sender.sendto(good, (0, 2))
# A receiver that does not check the sender gets both messages.
plain.setblocking(False)
assert [plain.recv(4096) for _ in range(3)][1:] == [good, good]
"""


def message() -> bytes:
    """Return udev's message for a new disk."""
    properties = b"ACTION=add\0DEVPATH=/devices/vda\0SUBSYSTEM=block\0DEVNAME=/dev/vda\0"
    header = b"libudev\0" + struct.pack(">I", 0xFEEDCAFE)
    return header + struct.pack("@3I", 40, 40, len(properties)) + bytes(16) + properties


@pytest.mark.parametrize("interpreter", ["cpython", "micropython"])
def test_only_messages_from_root_are_accepted(interpreter: str, tmp_path: Path) -> None:
    program = sys.executable
    if interpreter == "micropython":
        program = built.program("micropython")
    (tmp_path / "receive.py").write_text(RECEIVE)
    (tmp_path / "send.py").write_text(SEND)
    # Both programs must run in the same namespace, hence in one shell.
    script = """
        mkfifo ready
        "$1" receive.py >ready & receiver=$!
        { read line; "$2" send.py "$3"; cat; } <ready
        wait $receiver
    """
    done = subprocess.run(
        ["unshare", "-n", "sh", "-ec", script, "sh", program, sys.executable, message().hex()],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "nothing\nvda\nnothing\n")
