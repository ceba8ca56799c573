# SPDX-License-Identifier: MIT
"""The command line: conflicts, and the settings that it changes."""

import os

import pytest

from initoverlayfs.install import options


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--verify", "--rollback"], "not allowed with argument"),
        (["--remove", "--verify", "--kver", "6"], "not allowed with argument"),
        (["--remove"], "--remove requires --kver"),
        (["--verity-key", "k"], "--verity-key and --verity-cert require each other"),
        (["--verity-cert", "c"], "--verity-key and --verity-cert require each other"),
        (["--no-verity", "--verity-key", "k", "--verity-cert", "c"], "not allowed with --no-"),
    ],
)
def test_conflict_is_wrong_usage(
    arguments: "list[str]", reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        options.parse(arguments)
    assert exit_.value.code == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([], {}),
        (["--mode", "systemd"], {"initoverlayfs_init": "systemd"}),
        (["--no-hostonly", "--no-verity"], {"hostonly": "no", "hash_tree": "no"}),
        (
            ["--verity-key", "k", "--verity-cert", "/c"],
            {"hash_tree": "yes", "verity_key": os.path.abspath("k"), "verity_cert": "/c"},
        ),
    ],
)
def test_settings_of_the_options(arguments: "list[str]", settings: "dict[str, str]") -> None:
    assert options.settings(options.parse(arguments)) == settings
