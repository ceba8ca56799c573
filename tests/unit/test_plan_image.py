# SPDX-License-Identifier: MIT
from test_planning import BOUND, UUID, kinds, make, step, why_not

from storage_init.boot.images import BoundImage, OtherImage
from storage_init.config.boot_settings import INIT, SYSTEMD


def test_the_boot_filesystem_is_the_image():
    attempts = make("bootfs PARTLABEL=image\nbootfstype erofs\nfs -\n", "root=/dev/sda1")
    assert [attempt.name for attempt in attempts] == ["image", "direct"]
    image = attempts[0]
    assert "LocateImage" not in kinds(image) and "AttachImage" not in kinds(image)
    assert step(image, "LoadAhead").chains == [["erofs", "overlay"]]
    assert kinds(image)[0] == "LoadHashes" and not image.steps[0].verified
    attach = step(image, "AttachDevice")
    assert (attach.fstype, attach.uuid, attach.verity) == ("erofs", "", None)
    assert step(image, "Detach").targets == ("/stage1/overlay", "/stage1/image")


def test_systemd_mode_loads_nothing_and_leaves_nothing():
    attempts = make("bootfs UUID=x\nshell\n", "root=UUID=y rd.break", SYSTEMD)
    assert [attempt.name for attempt in attempts] == ["image", "previous"]
    assert kinds(attempts[0]) == [
        "FindDevice",
        "MountBoot",
        "LocateImage",
        "AttachImage",
        "CheckRelease",
        "MountOverlay",
        "WarnOfOthers",
        "ChooseInit",
        "ReadInit",
        "Detach",
        "WriteReport",
    ]


def test_the_image_before_this_one():
    path = "/initoverlayfs-6.12.1.img"
    for own, first, other in (
        (None, (path,), (path + ".previous",)),
        (BOUND, (path, path + ".new", path + ".previous"), (path + ".previous", path)),
    ):
        image, previous = make("bootfs UUID=x\n", bound=own)[:2]
        for attempt, kind, paths in ((image, BoundImage, first), (previous, OtherImage, other)):
            choice = step(attempt, "LocateImage").choice
            assert isinstance(choice, kind) and choice.paths == paths
            assert (choice.binding.uuid if choice.binding else "") == (UUID if own else "")


def test_when_the_boot_filesystem_need_not_be_mounted():
    for more, ahead in (
        ("", []),
        ("bootfstype ext4\n", ["loop"]),
        ("bootfstype vfat\n", ["vfat"]),
        ("bootfstype ext4\nbootfs_mount always\n", ["ext4"]),
        ("bootfstype auto\n", []),
        ("bootfstype ext4,xfs\n", []),
        ("bootfstype ext4\nfstype erofs,squashfs\n", ["loop"]),
    ):
        image = make("bootfs UUID=x\n" + more)[0]
        locate = step(image, "LocateImage")
        assert locate.unmounted == (ahead in ([], ["loop"])) and locate.mount, more
        chains = step(image, "LoadAhead").chains
        assert chains == ([ahead] if ahead else []) + [["erofs", "overlay"]]
    image = make("bootfs UUID=x\nbootfstype ext4\n", bound=BOUND)[0]
    assert step(image, "LoadAhead").chains == [["erofs", "overlay"], ["dm_verity", "loop"]]
    # whoever stops to look around expects to find it mounted
    image = make("bootfs UUID=x\n", "rd.break")[0]
    locate = step(image, "LocateImage")
    assert (locate.unmounted, locate.mount) == (False, None) and step(image, "MountBoot")


def test_what_the_mini_initramfs_belongs_to():
    image = make("bootfs UUID=x\n", bound=BOUND)[0]
    attach = step(image, "AttachImage")
    assert attach.verity.root_hash == "ab" * 32
    assert "through a loop device and dm-verity, root hash abab" in attach.describe()
    assert step(image, "ReadInit").needs == ("/l",)
    assert step(image, "LoadAhead").chains[-1] == ["dm_verity", "loop"]
    assert step(image, "LoadHashes").verified
    image = make("bootfs UUID=x\nfs -\n", bound=BOUND)[0]
    attach = step(image, "AttachDevice")
    assert (attach.uuid, attach.verity.root_hash) == (UUID, "ab" * 32)
    assert step(image, "LoadAhead").chains[-1] == ["dm_verity"]
    image, previous = make("bootfs UUID=x\nverity off\n", bound=BOUND)[:2]
    assert step(image, "AttachImage").verity is None and step(image, "ReadInit").needs == ()
    image, previous = make("bootfs UUID=x\n", bound=BOUND)[:2]
    assert step(previous, "AttachImage").verity is None and step(previous, "ReadInit").needs == ()


def test_settings_reach_the_steps_of_the_image():
    text = "bootfs UUID=x\nbootfs_hint /dev/vda1\nfstype squashfs\nverity_corruption panic\n"
    image = make(text, "rd.timeout=7", bound=BOUND)[0]
    attach = step(image, "AttachImage")
    assert (attach.fstype, attach.corruption) == ("squashfs", "panic")
    find = step(image, "FindDevice")
    assert (find.reference, find.timeout, find.hint) == ("UUID=x", 7, "/dev/vda1")
    text = "wait up to 7 s for the boot filesystem UUID=x, and try each device that matches"
    assert find.describe() == text


def test_what_it_belongs_to_cannot_be_read():
    for mode in (INIT, SYSTEMD):
        image = make("bootfs UUID=x\n", mode=mode, bound="uuid nonsense\n")[0]
        assert "malformed binding: 'uuid nonsense'" in why_not(image)
