# SPDX-License-Identifier: MIT
from test_planning import BOUND, UUID, actions, make, why_not

from storage_init.config.knobs import INIT, SYSTEMD


def test_the_boot_filesystem_is_the_image():
    attempts = make("bootfs PARTLABEL=image\nbootfstype erofs\nfs -\n", "root=/dev/sda1")
    assert [attempt.name for attempt in attempts] == ["image", "direct"]
    steps = {step.action: step.arguments for step in attempts[0].steps}
    assert "mount_boot" not in steps and "attach" not in steps
    assert steps["load_ahead"] == ([["erofs", "overlay"]],)
    assert steps["load_hashes"] == (False,) and attempts[0].steps[0].action == "load_hashes"
    assert steps["attach_device"] == ("erofs", "", None, "error", "/stage1/image")
    assert steps["detach"] == (("/stage1/overlay", "/stage1/image"),)


def test_systemd_mode_loads_nothing_and_leaves_nothing():
    attempts = make("bootfs UUID=x\nshell\n", "root=UUID=y rd.break", SYSTEMD)
    assert [attempt.name for attempt in attempts] == ["image", "previous"]
    assert actions(attempts[0]) == [
        "find",
        "mount_boot",
        "choose_image",
        "attach",
        "check_release",
        "overlay",
        "compare",
        "choose_init",
        "read_init",
        "detach",
        "report",
    ]


def test_the_image_before_this_one():
    path = "/initoverlayfs-6.12.1.img"
    for own, first, other in (
        (None, (path,), (path + ".previous",)),
        (BOUND, (path, path + ".new", path + ".previous"), (path + ".previous", path)),
    ):
        names = [
            (step.action, step.arguments[-3], step.arguments[-2])
            for attempt in make("bootfs UUID=x\n", bound=own)
            for step in attempt.steps
            if step.action in ("seek_image", "choose_image")
        ]
        assert names == [
            ("seek_image", first, False),
            ("choose_image", first, False),
            ("seek_image", other, True),
            ("choose_image", other, True),
        ]


def test_when_the_boot_filesystem_need_not_be_mounted():
    for more, ahead in (
        ("", []),
        ("bootfstype ext4\n", ["loop"]),
        ("bootfstype vfat\n", ["vfat"]),
        ("bootfstype ext4\nbootfs_mount always\n", ["ext4"]),
    ):
        image = make("bootfs UUID=x\n" + more)[0]
        seeks = ahead in ([], ["loop"])
        assert ("seek_image" in actions(image)) == seeks, more
        chains = image.steps[1].arguments[0]
        assert chains == ([ahead] if ahead else []) + [["erofs", "overlay"]]
    image = make("bootfs UUID=x\nbootfstype ext4\n", bound=BOUND)[0]
    assert image.steps[1].arguments[0] == [["erofs", "overlay"], ["dm_verity", "loop"]]
    # whoever stops to look around wants to find it mounted
    assert "seek_image" not in actions(make("bootfs UUID=x\n", "rd.break")[0])


def test_what_the_mini_initramfs_belongs_to():
    steps = {step.action: step for step in make("bootfs UUID=x\n", bound=BOUND)[0].steps}
    assert steps["attach"].arguments[2].root_hash == "ab" * 32
    assert steps["read_init"].arguments == ("/initoverlayfs", ("/l",))
    assert "by loop, verified by root hash abab" in steps["attach"].text
    assert steps["load_ahead"].arguments[0][-1] == ["dm_verity", "loop"]
    assert steps["load_hashes"].arguments == (True,)
    steps = {step.action: step for step in make("bootfs UUID=x\nfs -\n", bound=BOUND)[0].steps}
    assert steps["attach_device"].arguments[1] == UUID
    assert steps["attach_device"].arguments[2].root_hash == "ab" * 32
    assert steps["load_ahead"].arguments[0][-1] == ["dm_verity"]
    image, previous = make("bootfs UUID=x\nverity off\n", bound=BOUND)[:2]
    assert [step.arguments[2] for step in image.steps if step.action == "attach"] == [None]
    image, previous = make("bootfs UUID=x\n", bound=BOUND)[:2]
    assert [step.arguments[2] for step in previous.steps if step.action == "attach"] == [None]


def test_what_it_belongs_to_cannot_be_read():
    for mode in (INIT, SYSTEMD):
        image = make("bootfs UUID=x\n", mode=mode, bound="uuid nonsense\n")[0]
        assert "malformed binding: 'uuid nonsense'" in why_not(image)
