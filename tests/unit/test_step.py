# SPDX-License-Identifier: MIT
from storage_init.boot import planning, step
from storage_init.boot.attempts import Boot
from storage_init.config.boot_settings import INIT, SYSTEMD
from storage_init.config.settings import Settings


def test_a_scsi_address_is_scanned_in_both_modes():
    settings = Settings()
    settings.read_configuration("bootfs UUID=x\nscsi.addr 0:0:1:0\n")
    for mode in (INIT, SYSTEMD):
        steps = planning.make(settings, "1", mode)[0].steps
        actions = [one.action for one in steps]
        at = actions.index("scan_scsi")
        assert actions[at + 1] == "find" and steps[at].arguments == ("0:0:1:0",)
        assert hasattr(Boot, "scan_scsi") and "SCSI host of 0:0:1:0" in steps[at].text


def test_what_an_attempt_mounts_is_known_where_it_is_taken_down():
    for place in (step.NEW_ROOT, step.OVERLAY, step.IMAGE, step.BOOT):
        assert place in step.MOUNTS
