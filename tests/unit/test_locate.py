# SPDX-License-Identifier: MIT
import json

import test_ext4 as volumes
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
    whole = ("sc_loop_configure", "/dev/loop0", "/dev/vda", 21, 0, (at + 9) * block)
    one = (0, 6, "linear", "/dev/loop0 {}".format(at * 2))
    other = (6, 2, "linear", "/dev/loop0 {}".format((at + 8) * 2))
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
    assert ("/stage1/boot/d/f", "/stage1/image", "erofs") in mounts
    assert not [path for path in fake.open_fds() if "loop" in path or "mapper" in path]


def test_it_is_mounted_where_that_spares_nothing_or_cannot_be_spared():
    for options, why in (
        ({"filesystems": b"nodev\ttmpfs\n\text4\n"}, ""),
        ({"incompat": 0x246}, "/dev/vda has to be mounted: not unmounted cleanly"),
        ({"node": volumes.extents([])}, "/dev/vda has to be mounted: the file has holes"),
        ({"loop": False}, "/dev/vda has to be mounted: open /dev/loop-control"),
        (
            {"failures": {"sc_loop_configure": 5}},
            "/dev/vda has to be mounted: attach /dev/vda to /dev/loop0: errno 5",
        ),
    ):
        fake, kernel = unmounted(**options)
        lines = start(fake, kernel)
        mounts = [call[1:4] for call in fake.calls if call[0] == "sc_mount"]
        assert ("/dev/vda", "/stage1/boot", "ext4") in mounts
        assert ("/stage1/boot/d/f", "/stage1/image", "erofs") in mounts
        assert ("sc_umount", "/stage1/boot", 2) in fake.calls
        assert [line for line in lines if why in line]


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
