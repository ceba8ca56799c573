# SPDX-License-Identifier: MIT
import json

import test_ext4 as volumes
from support import PLACE, noise
from test_pid1 import IMAGE, machine, start


def unmounted(filesystems=b"nodev\ttmpfs\n", loop=True, failures=(), **options):
    """A machine whose boot filesystem is an ext4 with the image in it, in one piece."""
    fake, kernel, _ = machine("rd.initoverlayfs.fs=/d/f rd.debug")
    data = volumes.volume(**options)
    data[1128:1144] = bytes(range(1, 17))
    at = volumes.AT * volumes.BLOCK
    data[at + 1024 : at + 1028] = b"\xe2\xe1\xf5\xe0"
    fake.files["/dev/vda"] = bytes(data)
    fake.files["/usr/lib/initoverlayfs/modules"] += b"loop\tloop.ko\t\t\n"
    fake.add("/usr/lib/modules/6.12.1/loop.ko")
    fake.add("/proc/filesystems", filesystems)
    fake.failures.update(failures)
    if not loop:
        del fake.files["/dev/loop-control"]
    fake.add("/stage1/boot/d/f", fake.files[IMAGE])
    return fake, kernel


def test_the_driver_of_the_boot_filesystem_is_spared():
    fake, kernel = unmounted()
    lines = start(fake, kernel)
    place = (volumes.AT * volumes.BLOCK, len(volumes.FILE))
    assert ("sc_loop_configure", "/dev/loop0", "/dev/vda", 21) + place in fake.calls
    mounts = [call[1:4] for call in fake.calls if call[0] == "sc_mount"]
    assert ("/dev/loop0", "/stage1/image", "erofs") in mounts
    assert not [mount for mount in mounts if mount[1] == "/stage1/boot"]
    assert "ext4.ko" not in str([call for call in fake.calls if call[0] == "sc_finit_module"])
    text = "image /d/f attached: loop /dev/loop0 erofs, 4000 bytes from 40960 on of /dev/vda"
    assert [line for line in lines if text in line]
    report = json.loads(fake.files["/run/initoverlayfs/boot.json"])
    assert (report["device"], report["fstype"]) == ("/dev/vda", "ext4")
    assert (report["image"], report["attach"]) == ("/d/f", "loop")


def in_pieces(**options):
    """Make the machine of unmounted() with the image in two pieces, and with device-mapper."""
    at = volumes.AT
    node = volumes.extents([(0, 2, at), (2, 1, at + 2), (3, 1, at + 8)])
    fake, kernel = unmounted(node=node, **options)
    fake.files["/usr/lib/initoverlayfs/modules"] += b"dm_mod\tdm.ko\t\t\n"
    fake.add("/usr/lib/modules/6.12.1/dm.ko")
    fake.add("/dev/mapper/control")
    return fake, kernel


def test_an_image_in_pieces_is_joined():
    fake, kernel = in_pieces()
    lines = start(fake, kernel)
    at, block = volumes.AT, volumes.BLOCK
    # The loop device does not show the superblock, so that udev does not take it for the disk.
    whole = ("sc_loop_configure", "/dev/loop0", "/dev/vda", 21, at * block, 9 * block)
    one = (0, 6, "linear", "/dev/loop0 0")
    other = (6, 2, "linear", "/dev/loop0 16")
    load = ("sc_dm_load", "initoverlayfs-image", one, other)
    mount = ("sc_mount", "/dev/dm-7", "/stage1/image", "erofs", 1, None)
    remove = ("sc_dm_remove", "initoverlayfs-image")
    wanted = [whole, load, mount, remove]
    assert [call for call in fake.calls if call in wanted] == wanted
    text = "image /d/f attached: loop as /dev/dm-7 erofs, 4000 bytes in 2 pieces of /dev/vda"
    assert [line for line in lines if text in line]
    assert not [path for path in fake.open_fds() if "loop" in path or "mapper" in path]


def test_a_joined_device_that_cannot_be_removed_fails_nothing():
    for mount, attempt in (({}, "image"), ({"sc_mount /dev/dm-7": 117}, "")):
        fake, kernel = in_pieces(failures=dict(mount, sc_dm_remove=5))
        lines = start(fake, kernel)
        text = "<4>initoverlayfs: remove the device-mapper device initoverlayfs-image: errno 5"
        assert [line for line in lines if line.startswith(text)]
        report = json.loads(fake.files.get("/run/initoverlayfs/boot.json", b"{}"))
        assert report.get("attempt", "") == attempt


def test_nothing_stays_of_pieces_that_cannot_be_joined():
    fake, kernel = in_pieces(failures={"sc_dm_load": 22})
    lines = start(fake, kernel)
    assert [line for line in lines if "has to be mounted: set up initoverlayfs-image" in line]
    mounts = [call[1:4] for call in fake.calls if call[0] == "sc_mount"]
    assert ("/dev/loop0", "/stage1/boot", "ext4") in mounts
    assert ("/dev/loop0", "/stage1/image", "erofs") in mounts
    assert not [path for path in fake.open_fds() if "loop" in path or "mapper" in path]


def test_it_is_mounted_if_its_driver_is_loaded_or_required():
    for options, why in (
        ({"filesystems": b"nodev\ttmpfs\n\text4\n"}, ""),
        ({"incompat": 0x246}, "/dev/vda has to be mounted: not unmounted cleanly"),
        ({"node": volumes.extents([])}, "/dev/vda has to be mounted: the file has holes"),
    ):
        fake, kernel = unmounted(**options)
        lines = start(fake, kernel)
        mounts = [call[1:4] for call in fake.calls if call[0] == "sc_mount"]
        assert ("/dev/loop0", "/stage1/boot", "ext4") in mounts
        assert ("/dev/loop0", "/stage1/image", "erofs") in mounts
        # It is unmounted, not only detached, before the overlay exists.
        assert fake.calls.index(("sc_umount", "/stage1/boot", 0)) < fake.names().index("sc_execve")
        assert ("sc_mount", "/dev/vda") not in [call[:2] for call in fake.calls]
        assert [line for line in lines if why in line]


def test_the_device_is_not_mounted_without_a_loop_device():
    for options, why in (
        ({"loop": False}, "image: open /dev/loop-control"),
        ({"failures": {"sc_loop_configure": 5}}, "image: attach /dev/vda to /dev/loop0: errno 5"),
    ):
        fake, kernel = unmounted(**options)
        lines = start(fake, kernel)
        assert [line for line in lines if why in line]
        assert ("sc_mount", "/dev/vda") not in [call[:2] for call in fake.calls]


def test_a_loop_device_is_let_go_where_its_image_cannot_be_mounted():
    fake, kernel = unmounted(failures={"sc_mount /dev/loop0": 117})
    errors = [line for line in start(fake, kernel) if line.startswith("<3>")]
    assert "image: mount /dev/loop0 on /stage1/image type erofs" in errors[0]
    assert "sc_loop_configure" in fake.names()
    assert not [path for path in fake.open_fds() if "loop" in path]
    assert not fake.mounted & {"/initoverlayfs", "/stage1/image", "/stage1/overlay"}


def test_what_is_wrong_with_the_image_is_said_once_it_is_mounted():
    fake, kernel = unmounted()
    del fake.files["/stage1/boot/d/f"]
    entry = volumes.directory((13, b"f"))
    fake.files["/dev/vda"] = fake.files["/dev/vda"].replace(entry, volumes.directory())
    errors = [line for line in start(fake, kernel) if line.startswith("<3>")]
    assert "image: open /d/f in /stage1/boot: errno 2" in errors[0]


FILE = "/stage1/boot/d/f"
REPORT = "/run/initoverlayfs/boot.json"


def mounted(meminfo=b"MemTotal: 1000 kB\n", **options):
    """Make the machine of unmounted() whose image has to be located by mounting."""
    fake, kernel = unmounted(filesystems=b"nodev\ttmpfs\n\text4\n", **options)
    fake.add("/proc/meminfo", meminfo)
    return fake, kernel


def warned(lines):
    """Return the warnings, except that of the fake's initramfs, which cannot be deleted."""
    found = [line for line in lines if line.startswith("<4>")]
    return [line for line in found if "old initramfs: " not in line]


def copied(fake, lines):
    """Return why the image was copied into memory, "" if it was not. Checks the copy."""
    loops = [call[2:] for call in fake.calls if call[0] == "sc_loop_configure"]
    text = "<4>initoverlayfs: image /d/f is copied into memory: "
    warnings = warned(lines)
    if not warnings:
        assert loops[-1] == ("/dev/vda", 21, PLACE, len(fake.files[FILE]))
        assert "sc_memfd" not in fake.names()
        return ""
    (warning,) = warnings
    assert warning.startswith(text)
    assert loops[-1] == ("memory", 5, 0, 0)
    written = [call[2] for call in fake.calls if call[:2] == ("sc_write", "memory")]
    assert b"".join(written) == fake.files[FILE]
    return warning[len(text) : -1]


def booted(fake):
    """Check that the image was booted, and that the boot filesystem was released before."""
    order = [call for call in fake.calls if call[0] in ("sc_mount", "sc_umount", "sc_execve")]
    places = [call[:3] for call in order]
    umount = places.index(("sc_umount", "/stage1/boot", 0))
    assert places.index(("sc_mount", "/dev/loop0", "/stage1/boot")) < umount
    assert umount < places.index(("sc_mount", "/dev/loop0", "/stage1/image"))
    assert umount < places.index(("sc_mount", "overlay", "/initoverlayfs"))
    assert len([call for call in order if call[1] == "/stage1/boot"]) == 1
    assert order[-1][0] == "sc_execve" and "/stage1/boot" not in fake.mounted
    report = json.loads(fake.files[REPORT])
    assert (report["attempt"], report["image"], report["attach"]) == ("image", "/d/f", "loop")
    held = [path for path in fake.open_fds() if "loop" in path or path in ("memory", FILE)]
    assert held == []


def test_the_boot_filesystem_is_unmounted_before_the_overlay_is_mounted():
    fake, kernel = mounted()
    lines = start(fake, kernel)
    assert copied(fake, lines) == ""
    booted(fake)


def test_an_image_is_copied_into_memory_if_its_extents_cannot_be_used():
    for entries, failures, why in (
        ([(0, PLACE, 8192, 0x800)], {}, "/d/f has extents with flags 0x800"),
        ([(512, PLACE, 7680, 1)], {}, "/d/f has holes"),
        ([(0, 0, 8192, 1)], {}, "the bytes of /d/f at 0 are not on /dev/vda"),
        (None, {"sc_fiemap": 5}, "read the extents of /d/f: errno 5"),
        (None, {"sc_fiemap": 95, "sc_fibmap": 22}, "read the extents of /d/f: errno 22"),
        (None, {"sc_loop_configure": 16}, "attach /dev/vda to /dev/loop0: errno 16"),
    ):
        fake, kernel = mounted()
        data = bytearray(fake.files[FILE])
        data[:512] = noise(1, 512)
        fake.files[FILE] = bytes(data)
        if entries:
            fake.extents[FILE] = entries
        attach = fake.sc_loop_configure

        def configure(*arguments, attach=attach, failures=failures):
            # Only a part of the disk cannot be attached, not the whole disk.
            part = arguments[5] and "sc_loop_configure" in failures
            return -16 if part else attach(*arguments)

        fake.sc_loop_configure = configure
        fake.failures.update({name: failures[name] for name in failures if "loop" not in name})
        lines = start(fake, kernel)
        assert copied(fake, lines) == why
        booted(fake)


def test_an_image_whose_pieces_cannot_be_joined_is_copied_into_memory():
    fake, kernel = mounted(failures={"sc_dm_load": 22})
    fake.add("/dev/mapper/control")
    fake.placed = FILE
    fake.files[FILE] += bytes(8192)
    fake.extents[FILE] = [(0, PLACE, 8192, 0), (8192, PLACE + 16384, 8192, 1)]
    fake.placed = "/disk"
    fake.add("/disk", fake.files[FILE][:8192] + bytes(16384))
    lines = start(fake, kernel)
    assert copied(fake, lines).startswith("set up initoverlayfs-image: linear /dev/loop0 0, and 1")
    assert ("sc_dm_remove", "initoverlayfs-image") in fake.calls
    booted(fake)


def test_an_image_that_is_too_large_for_the_memory_is_not_copied():
    fake, kernel = mounted(b"MemTotal: 15 kB\n", failures={"sc_fiemap": 5})
    lines = start(fake, kernel)
    errors = [line for line in lines if line.startswith("<3>initoverlayfs: image: ")]
    text = "<3>initoverlayfs: image: /d/f has 8192 bytes, and half of the memory is 7680\n"
    assert errors == [text]
    assert "sc_memfd" not in fake.names() and "/stage1/boot" not in fake.mounted
    assert not [path for path in fake.open_fds() if "loop" in path or path == FILE]


def test_a_boot_filesystem_that_cannot_be_unmounted_fails_the_attempt():
    fake, kernel = mounted(failures={"sc_umount /stage1/boot": 16})
    lines = start(fake, kernel)
    assert "<3>initoverlayfs: image: unmount /stage1/boot: errno 16\n" in lines
    assert not [call for call in fake.calls if call[:2] == ("sc_mount", "overlay")]
    assert not [path for path in fake.open_fds() if "loop" in path or path == FILE]


def test_all_bytes_are_compared_after_a_replay_in_memory():
    for dirty, why in ((False, ""), (True, "the bytes of /d/f at 0 are not on /dev/vda")):
        fake, kernel = mounted()
        fake.files["/usr/lib/initoverlayfs/modules"] += b"dm_snapshot\tdm.ko\t\t\n"
        fake.add("/usr/lib/modules/6.12.1/dm.ko")
        fake.add("/dev/mapper/control")
        fake.files[FILE] += bytes(8192)
        fake.extents[FILE] = [(0, PLACE, 16384, 1)]
        other = bytearray(fake.files[FILE])
        other[6000] ^= 1
        fake.add("/disk", bytes(other))
        fake.placed = "/disk"
        mount = fake.sc_mount

        def failing(*arguments, mount=mount, dirty=dirty):
            if dirty and arguments[:2] == ("/dev/loop0", "/stage1/boot"):
                return -30
            return mount(*arguments)

        fake.sc_mount = failing
        lines = start(fake, kernel)
        assert len([line for line in lines if "journal replayed in memory" in line]) == dirty
        written = [call[2] for call in fake.calls if call[:2] == ("sc_write", "memory")]
        assert b"".join(written) == (fake.files[FILE] if dirty else b"")
        warnings = warned(lines)
        assert len(warnings) == dirty and why in "".join(warnings)
        assert ("sc_umount", "/stage1/boot", 0) in fake.calls and "sc_execve" in fake.names()


def test_bootfs_mount_always_keeps_the_boot_filesystem_mounted():
    fake, kernel, _ = machine("rd.initoverlayfs.bootfs_mount=always")
    lines = start(fake, kernel)
    assert warned(lines) == []
    calls = [call[:3] for call in fake.calls if call[0] in ("sc_mount", "sc_umount")]
    boot = [call for call in calls if "/stage1/boot" in call[1:]]
    # MNT_DETACH leaves it mounted until its last user is gone.
    assert boot == [("sc_mount", "/dev/loop0", "/stage1/boot"), ("sc_umount", "/stage1/boot", 2)]
    overlay = calls.index(("sc_mount", "overlay", "/initoverlayfs"))
    assert overlay < calls.index(("sc_umount", "/stage1/boot", 2))
    assert ("sc_mount", IMAGE, "/stage1/image") in calls
    assert json.loads(fake.files[REPORT])["attach"] == "file" and "sc_memfd" not in fake.names()
