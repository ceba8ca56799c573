# SPDX-License-Identifier: MIT
"""./dev boot and ./dev bench accept a kernel's Debian package as --kernel."""

from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.variants import Machines, chosen
from harness import guest
from harness.privilege import CommandFailed


def test_unknown_version_and_directory_are_refused(tmp_path: Path) -> None:
    known = "6.1, 6.12, 7"
    with pytest.raises(CommandFailed, match=f"kernel 6.13: neither one of {known} nor a"):
        guest.base(kernel="6.13")
    with pytest.raises(CommandFailed, match="neither"):
        guest.base(kernel=str(tmp_path))


def test_its_figures_have_their_own_section(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--only", "file,verity"]
    assert bench.section(bench.arguments(words)) == "variants"
    assert bench.section(bench.arguments([*words, "--cpu", "max"])) == "cpu"
    words += ["--kernel", "linux-image.deb", "--cpu", "max"]
    assert bench.section(bench.arguments(words)) == "kernel"
    with pytest.raises(SystemExit):
        bench.arguments([*words, "--wall"])
    assert "--cpu and --kernel apply only to whole boots in virtual time" in capsys.readouterr().err


def test_peers_require_debians_kernel(tmp_path: Path) -> None:
    """A peer's guest would boot Debian's kernel."""
    machines = Machines(tmp_path / "deb", tmp_path, print, kernel="linux-image.deb")
    (variant,) = chosen(["initramfs-tools"])
    with pytest.raises(ValueError, match="initramfs-tools: requires Debian's kernel"):
        variant.options(machines, icount=True)
