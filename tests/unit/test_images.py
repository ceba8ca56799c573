# SPDX-License-Identifier: MIT
from support import make, raises

from storage_init.boot import images
from storage_init.boot.images import BoundImage, OtherImage
from storage_init.formats.binding import Identity
from storage_init.formats.superblock import Filesystem
from storage_init.kernel.failure import BootFailure

OWN = "01010101-0101-0101-0101-010101010101"
NAMES = ("/i", "/i.new", "/i.previous")


def erofs(number):
    image = bytearray(8192)
    image[1024:1028] = b"\xe2\xe1\xf5\xe0"
    image[1072:1088] = bytes([number]) * 16
    return bytes(image)


def boot(**files):
    fake, kernel, _, _ = make()
    fake.add("/b/x")
    for name, content in files.items():
        fake.add("/b/" + name.replace("_", "."), content)
    return fake, kernel


def look(kernel):
    return lambda path: images.look(kernel, "/b", path)


def test_the_one_of_the_id_under_any_of_the_names():
    for name in ("i", "i_new", "i_previous"):
        fake, kernel = boot(**{name: erofs(1)})
        path = "/" + name.replace("_", ".")
        assert BoundImage(NAMES, Identity(OWN, 8192, None, ())).choose(look(kernel)).path == path
        assert fake.open_fds() == []
    _, kernel = boot(i=erofs(2), i_previous=erofs(1))
    assert BoundImage(NAMES, Identity(OWN, 0, None, ())).choose(look(kernel)).path == "/i.previous"


def test_a_mismatch_names_both_ids():
    _, kernel = boot(i=erofs(2), i_previous=b"garbage")
    error = raises(BootFailure, BoundImage(NAMES, Identity(OWN, 0, None, ())).choose, look(kernel))
    assert "belongs to image " + OWN in error.args[0]
    assert "/i is 02020202-0202-0202-0202-020202020202, " in error.args[0]
    assert "/i.previous is no filesystem that is known here; build" in error.args[0]
    _, kernel = boot()
    error = raises(BootFailure, BoundImage(NAMES, Identity(OWN, 0, None, ())).choose, look(kernel))
    assert "open /i in /b: " in error.args[0] and "previous" not in error.args[0]


def test_without_an_id_the_first_name_counts():
    _, kernel = boot(i=erofs(2))
    assert BoundImage(NAMES[:1], None).choose(look(kernel)).filesystem.type == "erofs"


def test_one_that_is_cut_off():
    _, kernel = boot(i=erofs(1))
    error = raises(
        BootFailure, BoundImage(NAMES, Identity(OWN, 9000, None, ())).choose, look(kernel)
    )
    assert "image /i is cut off: 8192 of 9000 bytes" in error.args[0]


def test_another_one():
    own = Identity(OWN, 0, None, ())
    names = ("/i.previous", "/i")
    for files, path in (
        ({"i": erofs(1), "i_previous": erofs(2)}, "/i.previous"),
        ({"i": erofs(2), "i_previous": erofs(1)}, "/i"),
        ({"i": erofs(2)}, "/i"),
    ):
        _, kernel = boot(**files)
        assert OtherImage(names, own).choose(look(kernel)).path == path
    _, kernel = boot(i=erofs(1), i_previous=erofs(1))
    error = raises(BootFailure, OtherImage(names, own).choose, look(kernel))
    assert "there is no other image: /i.previous is the same" in error.args[0]
    _, kernel = boot(i_previous=erofs(1))
    assert OtherImage(names[:1], None).choose(look(kernel)).path == "/i.previous"


def test_what_is_not_a_file_on_the_boot_filesystem():
    fake, kernel = boot()
    fake.links["/b/i"] = "/dev/vdb"
    assert raises(OSError, images.look, kernel, "/b", "/i").errno == 18
    fake.directories.add("/b/d")
    assert "not a regular file" in raises(BootFailure, images.look, kernel, "/b", "/d").args[0]
    assert fake.open_fds() == []


def test_a_device_with_another_image():
    found = Filesystem("erofs", OWN.upper(), "", 0)
    images.require(OWN, "/dev/vda", found)
    images.require("", "/dev/vda", None)
    error = raises(BootFailure, images.require, "other", "/dev/vda", found)
    assert "image other, and /dev/vda is " + OWN in error.args[0]


def test_modules_for_another_kernel():
    fake, kernel, _, _ = make()
    images.require_release(kernel, "/t", "6.1")
    fake.add("/t/usr/lib/modules/6.12/modules.dep")
    error = raises(BootFailure, images.require_release, kernel, "/t", "6.1")
    assert "no modules for Linux 6.1; those it has are for: 6.12" in error.args[0]
    images.require_release(kernel, "/t", "6.12")
