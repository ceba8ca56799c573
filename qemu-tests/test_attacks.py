# SPDX-License-Identifier: MIT
"""Attacks by whoever can write to the boot filesystem or to the kernel command line.

Each is shown twice: it succeeds without the protection, so that the case proves something, and is
refused with it. docs/verity.md says what is promised.
"""

from pathlib import Path

import pytest

from harness.machine import Drive
from harness.mini import Mini, compiled
from harness.privilege import run
from harness.running import Ending
from harness.tiny import Outcome, Tiny, image

# the first case of a run also builds the guest
pytestmark = pytest.mark.timeout(900)

REQUIRED = "verity require\nemergency poweroff\n"
OLD = "1f0e0000-0000-4000-8000-00000000071d"
EVIL_DISK = "1f0e0000-0000-4000-8000-00000000e1e1"


def evil(tiny: Tiny, name: str, uuid: str = "") -> Path:
    """An image that boots, has a hash tree of its own, and is not the one that was built."""
    path = image(tiny.directory / f"{name}.img", tiny.greeting, uuid or tiny.uuid(tiny.image), name)
    return tiny.with_hash_tree(path, name)[0]


def assert_evil(outcome: Outcome, name: str) -> None:
    """The attacker's stage 2 ran."""
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.greeting["release"] == [f"ID=tiny-{name}"]


def assert_refused(outcome: Outcome, reason: str) -> None:
    """No stage 2 ran, no prompt opened, a line says why, and the machine ended as configured."""
    assert outcome.ending is Ending.POWEROFF and not outcome.greeted, outcome.console
    assert ">>>" not in outcome.console
    assert [line for line in outcome.lines if reason in line], "\n".join(outcome.lines)


@pytest.mark.platforms("uml", "qemu")
def test_a_modified_image_with_its_own_hash_tree(verified: Tiny) -> None:
    """The image is replaced by another of the same id, with a fresh and correct hash tree."""
    good, words = verified.with_hash_tree(verified.image)
    drives = [Drive(verified.disk(files={verified.name: evil(verified, "modified")}))]
    mini = verified.identified(good, words, more="verity off\n")
    assert_evil(verified.boot(mini, drives), "modified")
    mini = verified.identified(good, words, more=REQUIRED)
    outcome = verified.boot(mini, drives)
    assert_refused(outcome, "I/O error")
    assert "verity" in outcome.console and "is corrupted" in outcome.console


def test_an_older_image(verified: Tiny) -> None:
    """The image of before, which was good then, takes the place of the present one."""
    good, words = verified.with_hash_tree(verified.image)
    drives = [Drive(verified.disk(files={verified.name: evil(verified, "older", OLD)}))]
    assert_evil(verified.boot(verified.configured(), drives), "older")
    outcome = verified.boot(verified.identified(good, words, more=REQUIRED), drives)
    assert_refused(outcome, f"belongs to image {verified.uuid(good)}")


# What to put on the kernel command line, with an image called "evil" as /evil.img and as the
# previous one on the boot disk, and on a disk of its own with a root filesystem of that kind.
WORDS = {
    "another image": "rd.initoverlayfs.fs=/evil.img",
    "another boot filesystem": f"rd.initoverlayfs.bootfs=UUID={EVIL_DISK}",
    "no image": f"rd.initoverlayfs=direct root=UUID={EVIL_DISK} rw init=/greeting",
    "no image, short": f"rd.initoverlayfs=0 root=UUID={EVIL_DISK} rw init=/greeting",
    "the previous image": "rd.initoverlayfs.fs=/none rd.initoverlayfs.fallback=direct"
    f" root=UUID={EVIL_DISK} rw init=/greeting",
}


@pytest.mark.parametrize("name", WORDS)
def test_words_that_would_lead_around_verification(verified: Tiny, name: str) -> None:
    """Words on the kernel command line name what is not verified: with `require`, in vain."""
    good, words = verified.with_hash_tree(verified.image)
    bad = evil(verified, "evil", OLD)
    greeting = verified.directory / "greeting"
    greeting.write_bytes(verified.greeting.read_bytes())
    greeting.chmod(0o755)
    others = {"greeting": greeting, verified.name: bad, verified.name + ".previous": bad}
    drives = [
        Drive(verified.disk(files={"evil.img": bad, "evil.img.previous": bad})),
        Drive(verified.disk(uuid=EVIL_DISK, files=others)),
    ]
    auto = verified.boot(verified.identified(good, words), drives, WORDS[name])
    assert auto.greeted and auto.boot.get("verity", "") == "", auto.console
    required = verified.identified(good, words, more=REQUIRED)
    off = "rd.initoverlayfs.verity=off rd.initoverlayfs.verity=auto rd.shell "
    outcome = verified.boot(required, drives, off + WORDS[name])
    assert_refused(outcome, "no way to boot left: poweroff")
    assert [line for line in outcome.lines if "unknown word 'rd.initoverlayfs.verity'" in line]


# Says what environment it has, on the console.
ENVIRONMENT = r"""
#include <stdio.h>
#include <sys/reboot.h>
extern char **environ;
int main(void) {
    for (char **word = environ; *word; word++)
        printf("environment %s\n", *word);
    fflush(stdout);
    reboot(RB_POWER_OFF);
    return 1;
}
"""


def test_words_that_steer_interpreters_and_linkers(tiny: Tiny) -> None:
    """The kernel makes environment of such words; storage-init heeds and passes on none of them."""
    words = "MICROPYPATH=/evil MICROPYINSPECT=1 PYTHONPATH=/evil LD_PRELOAD=/evil.so"
    # without storage-init in between, the next program gets them all
    program = compiled(ENVIRONMENT, tiny.directory / "environment").read_bytes()
    plain = Mini.load(tiny.platform.initrd).without("init").with_program("init", program)
    console = tiny.boot(plain, [], words).console
    assert [word for word in words.split() if "environment " + word not in console] == []
    # what /evil holds would end the boot
    mini = tiny.configured(files={"evil/storage_init.py": b"1 / 0\n", "evil.so": b"evil"})
    outcome = tiny.boot(mini, [Drive(tiny.disk())], words)
    assert outcome.greeted, outcome.console
    assert not set(words.split()) & set(outcome.greeting["environment"])


@pytest.mark.parametrize("start", ["/", "../../"])
def test_a_symbolic_link_out_of_the_boot_filesystem(tiny: Tiny, start: str) -> None:
    """The image's name is a link to another disk, which is an image: it is not followed."""
    disk = tiny.disk(files={})
    target = start + tiny.device(1).lstrip("/")
    run(["debugfs", "-w", "-R", f"symlink {tiny.name} {target}", str(disk)])
    drives = [Drive(disk), Drive(tiny.image)]
    mini = tiny.configured(more="emergency poweroff\n")
    # with the disk's own name it boots: it is for the link alone that it does not
    words = f"rd.initoverlayfs.bootfs={tiny.device(1)} rd.initoverlayfs.fs=-"
    assert tiny.boot(mini, drives, words).greeted
    assert_refused(
        tiny.boot(mini, drives),
        f"open /{tiny.name} in /stage1/boot: a symbolic link or .. leads out of the directory",
    )


def test_a_path_out_of_the_boot_filesystem(tiny: Tiny) -> None:
    """`fs` with .. in it is not taken; the default is used, and a line says so."""
    words = f"rd.initoverlayfs.fs=/../..{tiny.device(1)}"
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk()), Drive(tiny.image)], words)
    assert outcome.greeted and outcome.boot["image"] == "/" + tiny.name
    said = (
        "kernel command line: rd.initoverlayfs.fs: fs ignored: expected a path that starts with /"
    )
    assert [line for line in outcome.lines if line.startswith(said)]
