# SPDX-License-Identifier: MIT
"""Builds are reproducible: date, umask, processors and directory order do not change a byte."""

import hashlib
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import cache, privilege
from harness import guest as guests
from harness.privilege import in_tree, run

pytestmark = pytest.mark.timeout(900)

SOURCE = Path(__file__).resolve().parent.parent / "harness/inside/elsewhen.c"
LIBRARY = "/usr/lib/elsewhen.so"

# Build a stage 2 without drivers, which are half of it and most of the time of a build.
CONF = """\
bootfs UUID=aa
hostonly no
initoverlayfs_init {}
initoverlayfs_builder dracut --modules "systemd systemd-initrd systemd-sysusers base"
"""

# initoverlayfs-install, with the arguments added to the environment of each program that it runs.
PROGRAM = """
import sys
from initoverlayfs import target
from initoverlayfs.main import main
target._ENVIRONMENT.update(word.split("=", 1) for word in sys.argv[1:])
sys.exit(main(["--force"]))
"""

# Three years and a second.
LATER = "ELSEWHEN=94608001"

# Another umask, a single processor, directories on another filesystem.
ELSEWHERE = """\
umask 077
taskset -pc 0 $$ >/dev/null
for directory in /var/cache/initoverlayfs /var/elsewhere; do
    mkdir -p $directory
    mount -t tmpfs tmpfs $directory
done
"""


@pytest.fixture(scope="module")
def tree(deb: Path) -> Iterator[Path]:
    """Make a Debian tree with the package and the library that changes the date."""
    directory = cache.home() / "reproducible-tree"
    cache.remove(directory)
    library = cache.home() / "elsewhen.so"
    try:
        guests.extract(guests.base(), directory)
        guests.configure(directory)
        guests.install(directory, deb)
        run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"])
        run(privilege.as_root(["install", "-m", "644", str(library), f"{directory}{LIBRARY}"]))
        yield directory
    finally:
        library.unlink(missing_ok=True)
        cache.remove(directory)


def build(tree: Path, setup: str, *environment: str) -> "dict[str, str]":
    """Build both images in the tree after a shell script; return their digests.

    environment: NAME=VALUE words for the build.
    """
    line = ["python3", "-I", "-c", PROGRAM, f"LD_PRELOAD={LIBRARY}", *environment]
    run(in_tree(tree, ["sh", "-ec", f"{setup}rm -f /boot/init*\n{shlex.join(line)}"]))
    images = sorted((tree / "boot").glob("init*"))
    assert len(images) == 2
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in images}


def test_library_changes_date_and_directory_order(tree: Path) -> None:
    script = "date +%Y; find /usr -maxdepth 1"
    here = run(in_tree(tree, ["env", f"LD_PRELOAD={LIBRARY}", "sh", "-c", script])).split()
    there = run(in_tree(tree, ["env", f"LD_PRELOAD={LIBRARY}", LATER, "sh", "-c", script])).split()
    assert int(there[0]) == int(here[0]) + 3
    assert there[2:] == here[:1:-1] != here[2:]


@pytest.mark.parametrize("mode", ["init", pytest.param("systemd", marks=pytest.mark.slow)])
def test_builds_are_identical(tree: Path, mode: str) -> None:
    guests.write(tree, "etc/initoverlayfs.conf", CONF.format(mode))
    assert build(tree, "") == build(tree, ELSEWHERE, LATER, "TMPDIR=/var/elsewhere")
