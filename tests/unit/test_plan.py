# SPDX-License-Identifier: MIT
from support import raises

from storage_init import plan
from storage_init.settings import INIT, SYSTEMD, Settings
from storage_init.steps import Boot


def test_a_plan_describes_itself():
    settings = Settings()
    settings.read_configuration("bootfs UUID=x\nbootfstype ext4\nbootflags a=b\ntimeout 7\n")
    attempts = plan.make(settings, "6.12.1", INIT)
    text = "\n".join(plan.describe(attempts))
    for part in (
        "attempt image:",
        "load modules ext4 and erofs overlay",
        "wait up to 7 s for UUID=x",
        "type ext4 ro,a=b",
        "attach image /initoverlayfs-6.12.1.img",
        "tmpfs overlay (size=50%)",
    ):
        assert part in text, part


def test_every_step_is_one_the_executor_has():
    settings = Settings()
    settings.bootfs = "UUID=x"
    for mode, last in ((INIT, "exec_init"), (SYSTEMD, "report")):
        for attempt in plan.make(settings, "1", mode):
            assert attempt.steps[-1].action == last
            for step in attempt.steps:
                assert hasattr(Boot, step.action), step.action


def test_the_boot_filesystem_is_the_image():
    settings = Settings()
    settings.read_configuration("bootfs PARTLABEL=image\nbootfstype erofs\nfs -\n")
    assert settings.warnings == []
    (attempt,) = plan.make(settings, "1", INIT)
    steps = {step.action: step.arguments for step in attempt.steps}
    assert "mount_boot" not in steps and "attach" not in steps
    assert steps["load_ahead"] == ([["erofs", "overlay"]],)
    assert steps["attach_device"] == ("erofs", "/stage1/image")
    assert steps["detach"] == (("/stage1/overlay", "/stage1/image"),)
    for step in attempt.steps:
        assert hasattr(Boot, step.action), step.action


def test_systemd_mode_loads_nothing_and_leaves_nothing():
    settings = Settings()
    settings.bootfs = "UUID=x"
    actions = [step.action for step in plan.make(settings, "1", SYSTEMD)[0].steps]
    assert actions == [
        "find",
        "mount_boot",
        "attach",
        "overlay",
        "choose_init",
        "detach",
        "report",
    ]


def test_a_scsi_address_is_scanned_in_both_modes():
    settings = Settings()
    settings.read_configuration("bootfs UUID=x\nscsi.addr 0:0:1:0\n")
    for mode in (INIT, SYSTEMD):
        steps = plan.make(settings, "1", mode)[0].steps
        actions = [step.action for step in steps]
        at = actions.index("scan_scsi")
        assert actions[at + 1] == "find" and steps[at].arguments == ("0:0:1:0",)
        assert hasattr(Boot, "scan_scsi") and "SCSI host of 0:0:1:0" in steps[at].text


def test_without_a_boot_filesystem_it_says_what_to_set():
    error = raises(OSError, plan.make, Settings(), "1", INIT)
    assert "set bootfs in /etc/initoverlayfs.conf" in error.args[1]
