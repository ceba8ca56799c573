# SPDX-License-Identifier: MIT
import pytest

from initoverlayfs.machine.build_settings import BUILD_SETTINGS, InstallSettings
from storage_init.config.boot_settings import BOOT_SETTINGS, BUILD_KEYS, Setting
from storage_init.config.settings import Settings
from storage_init.config.settings_help import shown_default


def test_storage_init_knows_the_keys_of_the_build_settings() -> None:
    assert tuple(setting.key for setting in BUILD_SETTINGS) == BUILD_KEYS


def test_storage_init_skips_build_settings_without_a_warning() -> None:
    text = "".join(f"{key} x\n" for key in BUILD_KEYS) + "timeout 5\n"
    settings = Settings()
    settings.read_configuration(text)
    assert (settings.timeout, settings.warnings) == (5, [])
    assert settings.configured == {"timeout"}


def test_the_installer_reads_both_tables() -> None:
    settings = InstallSettings()
    assert (settings.hostonly, settings.timeout) == ("auto", 30)
    settings.read_configuration("hostonly no\nruntime python2\ntimeout 5\nhostonyl no\n", "conf")
    assert (settings.hostonly, settings.runtime, settings.timeout) == ("no", "micropython", 5)
    assert settings.warnings == [
        "conf:2: runtime ignored: expected micropython or python3; using 'micropython'",
        "conf:4: unknown key 'hostonyl' ignored",
    ]


def test_no_name_is_in_both_tables() -> None:
    names = [setting.name for setting in BOOT_SETTINGS + BUILD_SETTINGS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("setting", BUILD_SETTINGS, ids=[one.key for one in BUILD_SETTINGS])
def test_parsers_accept_the_defaults(setting: Setting) -> None:
    if setting.default != "":
        assert setting.parse(shown_default(setting)) == setting.default


def test_malformed_values_are_rejected() -> None:
    bad = {
        "verity_key": ("key.pem", "./key.pem"),
        "erofs_compression": ("lz4;reboot", "lz4 x"),
        "hostonly": ("maybe",),
    }
    for setting in BUILD_SETTINGS:
        for text in bad.get(setting.key, ()):
            with pytest.raises(ValueError):
                setting.parse(text)
