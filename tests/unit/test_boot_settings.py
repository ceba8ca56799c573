# SPDX-License-Identifier: MIT
from support import raises

from storage_init.config.boot_settings import BOOT_SETTINGS, BUILD_KEYS
from storage_init.config.settings_help import shown_default


def test_names_keys_and_words_are_unique():
    names = [setting.name for setting in BOOT_SETTINGS]
    keys = [setting.key for setting in BOOT_SETTINGS if setting.key] + list(BUILD_KEYS)
    words = [word for setting in BOOT_SETTINGS for word in setting.words]
    for group in (names, keys, words):
        assert len(set(group)) == len(group)


def test_parsers_accept_the_defaults():
    for setting in BOOT_SETTINGS:
        if setting.default != "":
            assert setting.parse(shown_default(setting)) == setting.default, setting.name
        if setting.bare:
            setting.parse(setting.bare)


def test_malformed_values_are_rejected():
    bad = {
        "bootfs": ("x", "UUID=", "/dev/"),
        "bootfs_hint": ("UUID=x", "/dev/../x"),
        "fs": ("x", "/a/../b", "--"),
        "fstype": ("a/b", "EXT4", "a b"),
        "timeout": ("-1", "0", "1.5", "86401", "999999", "\xb2"),
        "rootwait": ("0", "x", "86401", ""),
        "rootdelay": ("301", "-1", "x", ""),
        "debug": ("maybe", "2"),
        "emergency": ("explode",),
        "fallback": ("", "direct,none"),
        "stop": ("exec",),
        "verity": ("on",),
    }
    for setting in BOOT_SETTINGS:
        for text in bad.pop(setting.name, ()):
            raises(ValueError, setting.parse, text)
    assert bad == {}
