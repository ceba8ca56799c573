# SPDX-License-Identifier: MIT
from storage_init.config.boot_settings import BOOT_SETTINGS, BUILD_KEYS
from storage_init.config.settings_help import help_lines


def test_help_names_every_setting_in_lines_that_fit():
    lines = help_lines()
    text = "\n".join(lines)
    for setting in BOOT_SETTINGS:
        assert "  " + (setting.key or setting.words[0]) + " " in text, setting.name
    for key in BUILD_KEYS:
        assert key in text
    assert not [line for line in lines if len(line) > 100]


def test_help_shows_defaults_and_settings_of_the_file_alone():
    text = " ".join("\n".join(help_lines()).split())
    assert "seconds to wait for a device to appear [30]" in text
    assert "all other attempts have failed [no]" in text
    assert "(file only) [auto]" in text
