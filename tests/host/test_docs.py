# SPDX-License-Identifier: MIT
"""The documents say what the code says."""

import subprocess
from pathlib import Path

import pytest

from docs import generate, readme
from initoverlayfs.machine.build_settings import BUILD_SETTINGS
from storage_init.config.boot_settings import BOOT_SETTINGS

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("name", generate.FILES)
def test_it_is_what_the_table_makes(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == generate.FILES[name](), "run ./dev docs"


def test_the_figures_of_readme() -> None:
    assert (ROOT / "README.md").read_text() == readme.readme(), "run ./dev docs"
    page = "## Boots\n\n| | a, s |\n|---|---|\n| file | 2.06 (2.0-2.1) **0.63x** |\n\n## Next\n"
    assert readme.cell(page, "Boots", "file", "a, s") == "2.06"
    for heading, variant, column in (("Next", "file", "a, s"), ("Boots", "x", "a, s")):
        with pytest.raises(ValueError, match="no 'a, s' of"):
            readme.cell(page, heading, variant, column)


def test_every_setting_is_in_both_documents() -> None:
    for text in (generate.markdown(), generate.manual().replace("\\-", "-")):
        for setting in BOOT_SETTINGS + BUILD_SETTINGS:
            for name in (setting.key, *setting.words):
                assert name in text, name


def test_the_manual_page_is_one_that_groff_takes() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", str(ROOT / "docs/initoverlayfs.conf.5")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, "")
