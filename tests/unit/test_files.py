# SPDX-License-Identifier: MIT
from support import make, raises


def test_what_lies_beneath_a_directory():
    fake, kernel, _, _ = make({"/b/d/i": b"image"})
    fd = kernel.open_beneath("/b", "/d/i")
    assert kernel.pread(fd, 0, 9, "i") == b"image"
    kernel.close(fd)
    fake.links["/b/l"] = "/etc/passwd"
    error = raises(OSError, kernel.open_beneath, "/b", "/l")
    assert error.errno == 18 and error.args[1].startswith("open /l in /b: ")
    assert fake.open_fds() == []
