# SPDX-License-Identifier: MIT
"""initoverlayfs-install refuses wrong usage, and systems that lack a requirement.

qemu-tests/test_install.py runs it in a Debian tree, with failures during a build.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from initoverlayfs.install import report
from storage_init import __version__

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = "import sys; from initoverlayfs.main import main; sys.exit(main())"


def run(*arguments: object) -> "tuple[int, str]":
    """Run the program and return its exit status and its output."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


def snapshot(path: Path) -> "dict[str, bytes]":
    return {str(p): p.read_bytes() if p.is_file() else b"" for p in path.rglob("*")}


def assert_refused(path: Path, reason: str, *arguments: object, status: int = 1) -> None:
    """Assert the exit status, one line of output with the reason, and that no file has changed."""
    before = snapshot(path)
    found, output = run(*arguments)
    assert found == status, output
    assert output.count("\n") == 1 and output.startswith("initoverlayfs-install: "), output
    assert reason in output
    assert snapshot(path) == before


def test_wrong_usage(tmp_path: Path) -> None:
    assert_refused(tmp_path, "unrecognized arguments: --frobnicate", "--frobnicate", status=2)
    assert_refused(tmp_path, "not allowed with", "--hostonly", "--no-hostonly", status=2)
    assert_refused(tmp_path, "unrecognized arguments: --forc", "--forc", status=2)
    assert_refused(tmp_path, "argument --mode: invalid choice: 'x'", "--mode", "x", status=2)
    assert_refused(tmp_path, "argument --runtime: invalid choice: 'x'", "--runtime", "x", status=2)


def test_help_and_version() -> None:
    status, output = run("--help")
    assert status == 0
    for option in (
        "--force",
        "--kver",
        "--root",
        "--verbose",
        "--hostonly",
        "--no-hostonly",
        "--mode",
        "--runtime",
        "--remove",
        "--if-configured",
    ):
        assert option in output
    assert run("--version") == (0, f"initoverlayfs-install {__version__}\n")


requires_root = pytest.mark.skipif(os.geteuid() != 0, reason="runs initoverlayfs-install as root")


@requires_root
def test_missing_root_directory(tmp_path: Path) -> None:
    assert_refused(tmp_path, "no such directory", "--root", tmp_path / "absent")


@requires_root
def test_if_configured_does_nothing_without_bootfs(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for text in (None, "", "# bootfs UUID=aa\ntimeout 3\n"):
        if text is not None:
            (tmp_path / "etc/initoverlayfs.conf").write_text(text)
        before = snapshot(tmp_path)
        for option in ("--force", "--remove"):
            arguments = ("--if-configured", option, "--kver", "6.1", "--root", tmp_path)
            assert run(*arguments) == (0, "")
        assert snapshot(tmp_path) == before
    (tmp_path / "etc/initoverlayfs.conf").write_text("bootfs=UUID=aa\nfs -\n")
    reason = "nothing to do: /etc/initoverlayfs.conf sets `fs -`"
    assert_refused(tmp_path, reason, "--if-configured", "-f", "--root", tmp_path, status=0)
    (tmp_path / "etc/initoverlayfs.conf").write_text("bootfs=UUID=aa\n")
    assert_refused(
        tmp_path, "command dracut not found in", "--if-configured", "-f", "--root", tmp_path
    )


@requires_root
def test_missing_tools(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    for tool, package in (
        ("dracut", "dracut"),
        ("mkfs.erofs", "erofs-utils"),
        ("cpio", "cpio"),
        ("depmod", "kmod"),
    ):
        reason = f"command {tool} not found in {tmp_path}: install the package {package} there"
        assert_refused(tmp_path, reason, "-f", "--root", tmp_path)
        (tmp_path / "usr/bin" / tool).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "usr/bin" / tool).chmod(0o755)
    assert_refused(
        tmp_path, f"not found: install initoverlayfs in {tmp_path}", "-f", "--root", tmp_path
    )


def test_not_root() -> None:
    if os.geteuid() == 0:
        pytest.skip("this user is root; qemu-tests/test_install.py runs it as another one")
    status, output = run("-f")
    assert (status, output.count("\n")) == (1, 1)
    assert "only root can build images" in output


def test_table_of_sizes() -> None:
    rows = [("initrd.img-6", 36_600_000, 5_810_000, "loaded"), ("initoverlayfs-6.img", None, 1, "")]
    assert report.table(rows).splitlines() == [
        "                        before      after",
        "initrd.img-6           36.6 MB     5.8 MB  loaded",
        "initoverlayfs-6.img          -     0.0 MB",
    ]
