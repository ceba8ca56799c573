# SPDX-License-Identifier: MIT
from support import make, raises


def test_open_beneath_stays_in_the_directory():
    fake, kernel, _, _ = make({"/b/d/i": b"image"})
    fd = kernel.open_beneath("/b", "/d/i")
    assert kernel.pread(fd, 0, 9, "i") == b"image"
    kernel.close(fd)
    fake.links["/b/l"] = "/etc/passwd"
    error = raises(OSError, kernel.open_beneath, "/b", "/l")
    assert error.errno == 18 and error.args[1].startswith(
        "open /l in /b: a symbolic link or .. leads out"
    )
    assert fake.open_fds() == []


def test_read_through_reads_to_the_end():
    fake, kernel, _, _ = make({"/f": bytes(200000)})
    reads = []
    real = fake.sc_read

    def read(fd, buffer, size):
        reads.append(real(fd, buffer, size))
        return reads[-1]

    fake.sc_read = read
    kernel.read_through("/f")
    assert sum(reads) == 200000 and reads[-1] == 0 and fake.open_fds() == []
    fake.failures["sc_read /f"] = 117
    assert "read /f: " in raises(OSError, kernel.read_through, "/f").args[1]
    assert fake.open_fds() == []
