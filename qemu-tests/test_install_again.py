# SPDX-License-Identifier: MIT
"""initoverlayfs-install in a Debian tree that has a pair: no room for another, and killed."""

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

# /boot is a filesystem of its own with the pair on it and $1 bytes more.
SMALL = """
size=$(($(cat /boot/init* | wc -c) + $1 + 4194304))
truncate -s $size /tmp/disk; mkfs.ext4 -q -m 0 -O ^has_journal /tmp/disk
mkdir /tmp/boot; mount -o loop /tmp/disk /tmp/boot; cp -a /boot/init* /tmp/boot
mount --move /tmp/boot /boot
free=$(($(stat -f -c '%a * %S' /boot)))
[ $free -lt $1 ] || fallocate -l $((free - $1)) /boot/other
"""
LOOK = "cd /; sha256sum boot/* etc/initoverlayfs.conf; ls -A var/cache/initoverlayfs var/tmp"

# initoverlayfs-install, and another process that takes all but $1 bytes of /boot, when it has been
# looked at what is free.
EATEN = """
import os, subprocess, sys
from initoverlayfs.install import pairs
from initoverlayfs.main import main
def eaten(places, mini, image):
    checked(places, mini, image)
    if os.path.exists("/var/cache/initoverlayfs/work/image"):
        status = os.statvfs("/boot")
        size = status.f_bavail * status.f_frsize - int(sys.argv[1])
        subprocess.run(["fallocate", "-l", str(size), "/boot/eaten"], check=True)
checked, pairs.require_space = pairs.require_space, eaten
sys.exit(main(["-f", "--no-hostonly"]))
"""


@dataclass
class Pair:
    """The tree, and the seconds that a build in it takes."""

    tree: Path
    seconds: float

    def small(self, more: int, *scripts: str) -> "list[tuple[int, str]]":
        """What the scripts end with and write, one after the other, on such a small /boot."""
        marked = [f'(\n{script}\n) 2>&1; echo "=== $?"' for script in scripts]
        output = attempt(self.tree, "\n".join([f"set -- {more}", SMALL, *marked]))[1]
        found = re.findall(r"(.*?)=== (\d+)\n", output, re.S)
        assert len(found) == len(scripts), output
        return [(int(status), text) for text, status in found]


@pytest.fixture(scope="module")
def pair(deb: Path) -> Iterator[Pair]:
    with debian.tree("again-tree", deb) as tree:
        yield Pair(tree, debian.small_pair(tree))


def assert_whole(verified: "tuple[int, str]") -> None:
    """--verify found nothing wrong, and nothing lying about."""
    status, output = verified
    assert status == 0 and "leftovers: ok: none\n" in output, output
    assert "\nnext boot: ok: image " in output


def test_what_comes_before_the_main_archive(pair: Pair) -> None:
    """Microcode and the like, and lsinitrd sees what is behind; stage 2 has none of it."""
    (initrd,) = (pair.tree / "boot").glob("initrd.img-*")
    status, output = attempt(pair.tree, f"lsinitrd /boot/{initrd.name}")
    early, _, main = output.partition("\ndracut modules:\n")
    assert status == 0 and {*EARLY, PATH[1:]} <= set(early.split()), output
    assert main.splitlines()[0] == "initoverlayfs" and " init\n" in main
    (image,) = (pair.tree / "boot").glob("initoverlayfs-*")
    names = run(["dump.erofs", "--ls", "--path=/", str(image)])
    assert " init\n" in names and not re.search(r" (kernel|early_cpio)\n", names), names


def test_too_little_room(pair: Pair) -> None:
    """It says so before it builds, and how much is needed and there; all is as it was."""
    free = "stat -f -c '%a %S' /boot; cat /boot/init* | wc -c"
    verify = "initoverlayfs-install --verify"
    sizes, before, (status, output), after, verified = pair.small(
        3 * MIB, free, LOOK, INSTALL, LOOK, verify
    )
    blocks, size, pair_size = map(int, sizes[1].split())
    (line,) = output.splitlines()
    said = re.fullmatch(
        r"initoverlayfs-install: not enough space on /boot: (\S+) MB required, (\S+) MB free,"
        r" (\S+) MB short: remove files there, for example of old kernels",
        line,
    )
    assert status == 1 and said, output
    megabytes = blocks * size / 1e6, (pair_size + MIB) / 1e6
    assert said[2] == f"{megabytes[0]:.1f}" and said[1] == f"{megabytes[1]:.1f}"
    assert before == after
    assert_whole(verified)


def test_room_that_goes_while_it_writes(pair: Pair) -> None:
    """Where another process takes it, one line says so, and all is as it was but for that file."""
    # of the same content, the image would not be written again
    more = "echo 'install_items+=\" /usr/bin/cmp \"' >/etc/dracut.conf.d/more.conf"
    less = "rm /etc/dracut.conf.d/more.conf; ls -A /boot; rm -f /boot/eaten"
    run = f"python3 - {5 * MIB} <<'EOF'\n{EATEN}\nEOF"
    (_, before), _, (status, output), (_, files), (_, after), verified = pair.small(
        200 * MIB, LOOK, more, run, less, LOOK, "initoverlayfs-install --verify"
    )
    assert status == 1, output
    line = "initoverlayfs-install: /boot: No space left on device: remove files there,"
    assert complaints(output) == [line + " for example of old kernels"]
    assert "eaten" in files.split()
    assert before == after
    assert_whole(verified)


def test_killed_while_it_builds(pair: Pair) -> None:
    """The pair stays, and the next run removes what there is of the killed one."""
    kills = list(killbuild.kills(pair.tree, pair.seconds, 3, random.Random()))
    assert [(kill.wrong, kill.output) for kill in kills if not kill.ok] == []
