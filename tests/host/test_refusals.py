# SPDX-License-Identifier: MIT
"""initoverlayfs-install without anything to build: wrong usage, and systems that lack something.

What it builds, and what goes wrong while it does, is proven in a Debian tree: see qemu-tests.
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
    """(exit status, what it said)."""
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


def assert_refused(path: Path, pattern: str, *arguments: object, status: int = 1) -> None:
    """One line that contains the pattern, the exit status, and no file changed."""
    before = snapshot(path)
    found = run(*arguments)
    assert found[0] == status, found[1]
    assert found[1].count("\n") == 1 and found[1].startswith("initoverlayfs-install: "), found[1]
    assert pattern in found[1]
    assert snapshot(path) == before


def test_unknown_option(tmp_path: Path) -> None:
    assert_refused(tmp_path, "unrecognized arguments: --frobnicate", "--frobnicate", status=2)
    assert_refused(tmp_path, "not allowed with", "--hostonly", "--no-hostonly", status=2)
    assert_refused(tmp_path, "unrecognized arguments: --forc", "--forc", status=2)
    assert_refused(tmp_path, "argument --mode: invalid choice: 'x'", "--mode", "x", status=2)
    assert_refused(tmp_path, "argument --runtime: invalid choice: 'x'", "--runtime", "x", status=2)
    assert_refused(tmp_path, "--remove needs --kver", "--remove", status=2)


def test_help_and_version() -> None:
    status, said = run("--help")
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
        assert option in said
    assert run("--version") == (0, f"initoverlayfs-install {__version__}\n")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="runs initoverlayfs-install as root")


@needs_root
def test_no_such_root(tmp_path: Path) -> None:
    assert_refused(tmp_path, "no such directory", "--root", tmp_path / "absent")


@needs_root
def test_nothing_is_done_where_nobody_chose_it(tmp_path: Path) -> None:
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
    pattern = "nothing done: /etc/initoverlayfs.conf says `fs -`"
    assert_refused(tmp_path, pattern, "--if-configured", "-f", "--root", tmp_path, status=0)
    (tmp_path / "etc/initoverlayfs.conf").write_text("bootfs=UUID=aa\n")
    assert_refused(tmp_path, "no dracut in", "--if-configured", "-f", "--root", tmp_path)


@needs_root
def test_a_root_that_lacks_the_tools(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    for tool, package in (
        ("dracut", "dracut"),
        ("mkfs.erofs", "erofs-utils"),
        ("cpio", "cpio"),
        ("depmod", "kmod"),
    ):
        pattern = f"no {tool} in {tmp_path}: install the package {package}"
        assert_refused(tmp_path, pattern, "-f", "--root", tmp_path)
        (tmp_path / "usr/bin" / tool).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "usr/bin" / tool).chmod(0o755)
    assert_refused(tmp_path, "install initoverlayfs there", "-f", "--root", tmp_path)


def test_not_root() -> None:
    if os.geteuid() == 0:
        pytest.skip("this user is root; the Debian tree's tests run it as another one")
    status, said = run("-f")
    assert (status, said.count("\n")) == (1, 1)
    assert "only root can build images" in said


def test_table() -> None:
    rows = [("initrd.img-6", 36_600_000, 5_810_000, "loaded"), ("initoverlayfs-6.img", None, 1, "")]
    assert report.table(rows).splitlines() == [
        "                        before      after",
        "initrd.img-6           36.6 MB     5.8 MB  loaded",
        "initoverlayfs-6.img          -     0.0 MB",
    ]
