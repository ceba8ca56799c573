# SPDX-License-Identifier: MIT
"""If /boot lacks space or initoverlayfs-install is killed, the existing pair stays intact."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import debian, killbuild
from harness.debian import EARLY, INSTALL, attempt, complaints
from harness.privilege import run
from storage_init.formats.binding import PATH

pytestmark = pytest.mark.timeout(900)

MIB = 1 << 20

# Mount a filesystem on /boot that holds the pair and has $1 free bytes.
SMALL = """
size=$(($(cat /boot/init* | wc -c) + $1 + 4194304))
truncate -s $size /tmp/disk; mkfs.ext4 -q -m 0 -O ^has_journal /tmp/disk
mkdir /tmp/boot; mount -o loop /tmp/disk /tmp/boot; cp -a /boot/init* /tmp/boot
mount --move /tmp/boot /boot
free=$(($(stat -f -c '%a * %S' /boot)))
[ $free -lt $1 ] || fallocate -l $((free - $1)) /boot/other
"""
LOOK = "cd /; sha256sum boot/* etc/initoverlayfs.conf; ls -A var/cache/initoverlayfs var/tmp"

# initoverlayfs-install, and another process that fills /boot after the check of its free space,
# except for argv[1] bytes.
FILLED = """
import os, subprocess, sys
from initoverlayfs.install import pairs
from initoverlayfs.main import main
def check_then_fill(places, mini, image):
    check(places, mini, image)
    if os.path.exists("/var/cache/initoverlayfs/work/image"):
        status = os.statvfs("/boot")
        size = status.f_bavail * status.f_frsize - int(sys.argv[1])
        subprocess.run(["fallocate", "-l", str(size), "/boot/filler"], check=True)
check, pairs.require_space = pairs.require_space, check_then_fill
sys.exit(main(["-f", "--no-hostonly"]))
"""


@dataclass
class Pair:
    """A tree with a pair, and the seconds that a build in it takes."""

    tree: Path
    seconds: float

    def small(self, free: int, *scripts: str) -> "list[tuple[int, str]]":
        """Run scripts with `free` bytes free on /boot; return their exit statuses and outputs."""
        marked = [f'(\n{script}\n) 2>&1; echo "=== $?"' for script in scripts]
        output = attempt(self.tree, "\n".join([f"set -- {free}", SMALL, *marked]))[1]
        found = re.findall(r"(.*?)=== (\d+)\n", output, re.S)
        assert len(found) == len(scripts), output
        return [(int(status), text) for text, status in found]


@pytest.fixture(scope="module")
def pair(deb: Path) -> Iterator[Pair]:
    with debian.tree("again-tree", deb) as tree:
        yield Pair(tree, debian.small_pair(tree))


def assert_whole(verified: "tuple[int, str]") -> None:
    """Assert that --verify found a pair that boots and no leftovers."""
    status, output = verified
    assert status == 0 and "leftovers: ok: none\n" in output, output
    assert "\nnext boot: ok: image " in output


def test_early_archive(pair: Pair) -> None:
    """Microcode, an ACPI table and the binding precede the main archive, which lsinitrd lists.

    The image does not contain the early archive.
    """
    (initrd,) = (pair.tree / "boot").glob("initrd.img-*")
    status, output = attempt(pair.tree, f"lsinitrd /boot/{initrd.name}")
    early, _, main = output.partition("\ndracut modules:\n")
    assert status == 0 and {*EARLY, PATH[1:]} <= set(early.split()), output
    assert main.splitlines()[0] == "initoverlayfs" and " init\n" in main
    (image,) = (pair.tree / "boot").glob("initoverlayfs-*")
    names = run(["dump.erofs", "--ls", "--path=/", str(image)])
    assert " init\n" in names and not re.search(r" (kernel|early_cpio)\n", names), names


def test_too_little_space(pair: Pair) -> None:
    """If /boot lacks space, one line reports it before the build, and no file changes."""
    free = "stat -f -c '%a %S' /boot; cat /boot/init* | wc -c"
    verify = "initoverlayfs-install --verify"
    sizes, before, (status, output), after, verified = pair.small(
        3 * MIB, free, LOOK, INSTALL, LOOK, verify
    )
    blocks, size, pair_size = map(int, sizes[1].split())
    (line,) = output.splitlines()
    match = re.fullmatch(
        r"initoverlayfs-install: not enough space on /boot: (\S+) MB required, (\S+) MB free,"
        r" (\S+) MB short: remove files there, for example of old kernels",
        line,
    )
    assert status == 1 and match, output
    assert match[1] == f"{(pair_size + MIB) / 1e6:.1f}"
    assert match[2] == f"{blocks * size / 1e6:.1f}"
    assert before == after
    assert_whole(verified)


def test_boot_filesystem_fills_up(pair: Pair) -> None:
    """If another process fills /boot after the check, a line reports it and the pair is intact."""
    # An image with the same content would not be written again.
    more = "echo 'install_items+=\" /usr/bin/cmp \"' >/etc/dracut.conf.d/more.conf"
    less = "rm /etc/dracut.conf.d/more.conf; ls -A /boot; rm -f /boot/filler"
    run = f"python3 - {5 * MIB} <<'EOF'\n{FILLED}\nEOF"
    (_, before), _, (status, output), (_, files), (_, after), verified = pair.small(
        200 * MIB, LOOK, more, run, less, LOOK, "initoverlayfs-install --verify"
    )
    assert status == 1, output
    line = "initoverlayfs-install: /boot: No space left on device: remove files there,"
    assert complaints(output) == [line + " for example of old kernels"]
    assert "filler" in files.split()
    assert before == after
    assert_whole(verified)


@pytest.mark.slow
def test_killed_during_the_build(pair: Pair) -> None:
    """The pair is intact, and the next run removes files and processes of the killed one."""
    kills = list(killbuild.kills(pair.tree, pair.seconds, 3, random.Random()))
    assert [(kill.wrong, kill.output) for kill in kills if not kill.ok] == []
