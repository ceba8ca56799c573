# SPDX-License-Identifier: MIT
from support import make, noise, raises

from storage_init.kernel.devmapper import Target

TARGET = Target("linear", 1024, "/dev/loop0 8")


def storage():
    files = {
        "/dev/loop-control": b"",
        "/dev/mapper/control": b"",
        "/dev/btrfs-control": b"",
        "/dev/vda": b"",
        "/f": noise(1, 1000),
    }
    for number in range(16):
        files["/dev/loop{}".format(number)] = b""
    fake, kernel, _, _ = make(files)
    return fake, kernel


def answer(fake, answers):
    """Give each loop device a number of its own; return the paths that were tried.

    answers: results of sc_loop_configure, in turn.
    """
    tried = []

    def configure(loop, *_):
        tried.append(fake._fds[loop][0])
        return answers[len(tried) - 1]

    fake.sc_loop_get_free = lambda control: len(tried)
    fake.sc_loop_configure = configure
    return tried


def attaching(kernel):
    """Return the three methods that attach a loop device, as functions without arguments."""
    fd = kernel.open("/f")
    return (
        lambda: kernel.loop_attach("/f"),
        lambda: kernel.loop_memory("name", 4096),
        lambda: kernel.loop_copy(fd, "/f", 1000),
    )


def test_a_busy_loop_device_is_retried():
    for which in range(3):
        fake, kernel = storage()
        attach = attaching(kernel)[which]
        tried = answer(fake, [-16, -16, 0])
        path, fd = attach()
        assert path == "/dev/loop2" and fake._fds[fd][0] == path
        assert tried == ["/dev/loop0", "/dev/loop1", "/dev/loop2"]
        assert fake.open_fds() == ["/dev/loop2", "/f"]


def test_at_most_16_loop_devices_are_tried():
    fake, kernel = storage()
    answer(fake, [-16] * 15 + [0])
    assert kernel.loop_attach("/f")[0] == "/dev/loop15"
    fake, kernel = storage()
    tried = answer(fake, [-16] * 16)
    error = raises(OSError, kernel.loop_attach, "/f")
    assert error.errno == 16 and error.args[1] == "attach /f to /dev/loop15: errno 16"
    assert len(tried) == 16 and fake.open_fds() == []


def test_an_error_other_than_busy_is_not_retried():
    fake, kernel = storage()
    tried = answer(fake, [-22])
    error = raises(OSError, kernel.loop_attach, "/f")
    assert error.errno == 22 and error.args[1] == "attach /f to /dev/loop0: errno 22"
    assert tried == ["/dev/loop0"] and fake.open_fds() == []


def opening(fake):
    """Return a list of (path, flags), which each sc_open extends."""
    opened = []
    call = fake.sc_open

    def recording(at, path, flags, mode):
        opened.append((path, flags))
        return call(at, path, flags, mode)

    fake.sc_open = recording
    return opened


def test_flags_of_loop_devices():
    """READ_ONLY is 1, AUTOCLEAR 4 and DIRECT_IO 16; O_RDWR is 2."""
    fake, kernel = storage()
    fd = kernel.open("/f")
    opened = opening(fake)
    for attach, backing, flags, offset, size, mode in (
        (lambda: kernel.loop_attach("/f"), "/f", 5, 0, 0, 0),
        (lambda: kernel.loop_attach("/dev/vda"), "/dev/vda", 5, 0, 0, 0),
        (lambda: kernel.loop_attach("/dev/vda", 512, 1024), "/dev/vda", 21, 512, 1024, 0),
        (lambda: kernel.loop_attach("/dev/vda", 0, 1024), "/dev/vda", 21, 0, 1024, 0),
        (lambda: kernel.loop_attach("/dev/vda", 512), "/dev/vda", 5, 512, 0, 0),
        (lambda: kernel.loop_memory("name", 4096), "memory", 4, 0, 0, 2),
        (lambda: kernel.loop_copy(fd, "/f", 1000), "memory", 5, 0, 0, 0),
    ):
        attach()
        assert fake.calls[-1] == ("sc_loop_configure", "/dev/loop0", backing, flags, offset, size)
        assert opened[-1] == ("/dev/loop0", mode)
        # The backing file is never opened for writing.
        assert [path for path, how in opened if how == 2 and path == backing] == []


def test_a_memory_loop_has_the_size_of_its_memory():
    fake, kernel = storage()
    kernel.loop_memory("name", 12345)
    assert fake.calls[0] == ("sc_memfd", "name", 12345) and "sc_write" not in fake.names()
    assert fake.open_fds() == ["/dev/loop0"]


def test_a_copy_has_the_first_bytes_of_the_file():
    data = noise(2, 66000)
    for size in (0, 1, 65536, 65537):
        fake, kernel = storage()
        fake.add("/g", data)
        fd = kernel.open("/g")
        assert kernel.loop_copy(fd, "/g", size)[0] == "/dev/loop0"
        written = [call[2] for call in fake.calls if call[:2] == ("sc_write", "memory")]
        assert b"".join(written) == data[:size], size
        assert max([0] + [len(part) for part in written]) <= 65536
        assert fake.calls[0] == ("sc_memfd", "/g", size)
        assert fake.open_fds() == ["/dev/loop0", "/g"]


def test_a_file_that_is_shorter_than_its_copy():
    fake, kernel = storage()
    fd = kernel.open("/f")
    error = raises(OSError, kernel.loop_copy, fd, "/f", 1001)
    assert error.errno == 22 and error.args[1] == "/f ends at byte 1000"
    assert "sc_loop_configure" not in fake.names() and fake.open_fds() == ["/f"]


def test_device_mapper_devices_are_read_only_unless_writable():
    for options, expected in (
        ({}, False),
        ({"writable": False}, False),
        ({"writable": True}, True),
    ):
        fake, kernel = storage()
        seen = []

        def record(name, fake=fake, seen=seen):
            call = getattr(fake, name)

            def recording(control, device, writable, *rest):
                seen.append((name, writable))
                return call(control, device, writable, *rest)

            setattr(fake, name, recording)

        names = ("sc_dm_create", "sc_dm_load", "sc_dm_resume")
        for name in names:
            record(name)
        assert kernel.dm_create("d", [TARGET], **options) == "/dev/dm-7"
        assert seen == [(name, expected) for name in names]
        assert fake.calls[1] == ("sc_dm_load", "d", (0, 2, "linear", "/dev/loop0 8"))
        assert fake.open_fds() == []


def test_a_device_mapper_device_is_removed_if_a_step_fails():
    for targets, more in (([TARGET], ""), ([TARGET] * 3, ", and 2 more")):
        for step in ("sc_dm_load", "sc_dm_resume"):
            fake, kernel = storage()
            fake.failures[step] = 22
            error = raises(OSError, kernel.dm_create, "d", targets)
            assert error.errno == 22
            assert error.args[1] == "set up d: linear /dev/loop0 8{}: errno 22".format(more)
            assert fake.calls[-1] == ("sc_dm_remove", "d") and fake.open_fds() == []


def test_the_error_of_a_step_is_raised_even_if_the_device_cannot_be_removed():
    fake, kernel = storage()
    fake.failures.update({"sc_dm_load": 22, "sc_dm_remove": 16})
    assert raises(OSError, kernel.dm_create, "d", [TARGET]).errno == 22


def test_a_device_mapper_device_of_another_owner_is_not_removed():
    fake, kernel = storage()
    fake.failures["sc_dm_create"] = 16
    error = raises(OSError, kernel.dm_create, "d", [TARGET])
    assert error.args[1] == "create the device-mapper device d: errno 16"
    assert "sc_dm_remove" not in fake.names() and fake.open_fds() == []


METHODS = (
    lambda kernel, fd: kernel.loop_attach("/f"),
    lambda kernel, fd: kernel.loop_memory("name", 4096),
    lambda kernel, fd: kernel.loop_copy(fd, "/f", 1000),
    lambda kernel, fd: kernel.dm_create("d", [TARGET]),
    lambda kernel, fd: kernel.dm_remove("d"),
    lambda kernel, fd: kernel.extents(fd, "/f", 8),
    lambda kernel, fd: kernel.extents(fd, "/f", 8, by_block=True),
    lambda kernel, fd: kernel.xflags(fd, "/f"),
    lambda kernel, fd: kernel.btrfs_forget(),
    lambda kernel, fd: kernel.btrfs_search(fd, bytearray(4096), "/f"),
)


def test_an_error_names_operation_and_object():
    for number, call, text in (
        (0, "sc_open /f", "open /f"),
        (0, "sc_open /dev/loop-control", "open /dev/loop-control"),
        (0, "sc_open /dev/loop0", "open /dev/loop0"),
        (0, "sc_loop_get_free", "find a free loop device for /f"),
        (0, "sc_loop_configure", "attach /f to /dev/loop0"),
        (1, "sc_memfd", "allocate 4096 bytes of memory for name"),
        (1, "sc_loop_get_free", "find a free loop device for name"),
        (1, "sc_loop_configure", "attach name to /dev/loop0"),
        (2, "sc_memfd", "allocate 1000 bytes of memory for /f"),
        (2, "sc_pread", "read 1000 bytes at 0 of /f"),
        (2, "sc_write", "write the copy of /f"),
        (2, "sc_loop_configure", "attach /f to /dev/loop0"),
        (3, "sc_open /dev/mapper/control", "open /dev/mapper/control"),
        (3, "sc_dm_create", "create the device-mapper device d"),
        (3, "sc_dm_load", "set up d: linear /dev/loop0 8"),
        (3, "sc_dm_resume", "set up d: linear /dev/loop0 8"),
        (4, "sc_open /dev/mapper/control", "open /dev/mapper/control"),
        (4, "sc_dm_remove", "remove the device-mapper device d"),
        (5, "sc_fiemap", "read the extents of /f"),
        (6, "sc_fibmap", "read the extents of /f"),
        (7, "sc_xflags", "read the attributes of /f"),
        (8, "sc_open /dev/btrfs-control", "open /dev/btrfs-control"),
        (8, "sc_btrfs_forget", "have btrfs forget its unused devices"),
        (9, "sc_btrfs_search", "read the tree of /f"),
    ):
        fake, kernel = storage()
        fd = kernel.open("/f")
        fake.failures[call] = 5
        error = raises(OSError, METHODS[number], kernel, fd)
        assert error.errno == 5 and error.args[1] == text + ": errno 5", (call, error.args)
        assert fake.open_fds() == ["/f"], call


def test_every_system_call_that_fails_raises_one_error_and_leaves_nothing_open():
    for method in METHODS:
        fake, kernel = storage()
        fd = kernel.open("/f")
        before = fake.total
        method(kernel, fd)
        count = fake.total - before
        assert count > 0
        for number in range(1, count + 1):
            fake, kernel = storage()
            fd = kernel.open("/f")
            fake.fail_at = (fake.total + number, 12)
            assert raises(OSError, method, kernel, fd).errno == 12
            assert fake.open_fds() == ["/f"]


def counted(fake, name):
    """Return a list of the second arguments of this function, which each call extends."""
    starts = []
    call = getattr(fake, name)

    def counting(fd, start, *rest):
        starts.append(start)
        return call(fd, start, *rest)

    setattr(fake, name, counting)
    return starts


def test_extents_continue_after_a_full_buffer():
    for name, by_block in (("sc_fiemap", False), ("sc_fibmap", True)):
        fake, kernel = storage()
        # Holes of 8 bytes, and extents with every flag of one bit.
        entries = [(n * 16, 1 << 40 | n * 100, 8, 1 << n % 14) for n in range(130)]
        fake.extents["/f"] = entries
        starts = counted(fake, name)
        other = counted(fake, "sc_fiemap" if by_block else "sc_fibmap")
        fd = kernel.open("/f")
        found = kernel.extents(fd, "/f", 1000, by_block)
        assert [tuple(extent) for extent in found] == entries
        assert (found[1].logical, found[1].physical) == (16, 1 << 40 | 100)
        assert (found[1].length, found[1].flags) == (8, 2)
        assert starts == [0, 63 * 16 + 8, 127 * 16 + 8, 129 * 16 + 8] and other == []


def test_extents_stop_at_the_limit():
    for limit, calls, count in (
        (0, 1, 64),
        (63, 1, 64),
        (64, 2, 128),
        (128, 3, 192),
        (300, 6, 300),
    ):
        fake, kernel = storage()
        fake.extents["/f"] = [(n, n, 1, 0) for n in range(300)]
        starts = counted(fake, "sc_fiemap")
        found = kernel.extents(kernel.open("/f"), "/f", limit)
        assert (len(starts), len(found)) == (calls, count), limit


def test_a_file_without_extents():
    fake, kernel = storage()
    fake.extents["/f"] = []
    assert kernel.extents(kernel.open("/f"), "/f", 8) == []


def test_xflags():
    fake, kernel = storage()
    fake.xflags = 0x80000001
    assert kernel.xflags(kernel.open("/f"), "/f") == 0x80000001
