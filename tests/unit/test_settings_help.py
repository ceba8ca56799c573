# SPDX-License-Identifier: MIT
from storage_init.config import values
from storage_init.config.boot_settings import BOOT_SETTINGS, BUILD_KEYS, FLAG, file_only
from storage_init.config.settings_help import help_lines, shown_default


def test_help_names_every_setting_in_lines_that_fit():
    lines = help_lines()
    text = "\n".join(lines)
    for setting in BOOT_SETTINGS:
        assert "  " + (setting.key or setting.words[0]) + " " in text, setting.name
    assert not [line for line in lines if len(line) > 100]


def test_help_shows_defaults_and_settings_of_the_file_alone():
    text = " ".join("\n".join(help_lines()).split())
    assert "seconds to wait for a device to appear [30]" in text
    assert "all other attempts have failed [no]" in text
    assert "(file only) [auto]" in text
    for setting in BOOT_SETTINGS:
        assert setting.help in text, setting.name


def test_help_lists_the_build_settings_below_a_heading():
    lines = help_lines()
    at = lines.index("")
    assert lines[at + 1] == "Settings that only initoverlayfs-install reads, from the same file:"
    assert "".join(lines[at + 2 :]).replace(" ", "").split(",") == list(BUILD_KEYS)


def test_the_default_of_a_flag_is_shown_as_yes_or_no():
    for default, text in ((True, "yes"), (False, "no")):
        setting = file_only("key", values.flag, FLAG, default, "")
        assert shown_default(setting) == text and setting.parse(text) is default
