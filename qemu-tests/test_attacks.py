# SPDX-License-Identifier: MIT
"""Attacks through the boot filesystem or the kernel command line are refused.

Each test shows that the attack succeeds without the protection, and that it is refused with it.
docs/verity.md lists the promises.
"""

from pathlib import Path

import pytest

from harness.machine import Drive
from harness.mini import Mini, compiled
from harness.privilege import run
from harness.running import Ending
from harness.tiny import Outcome, Tiny, image

# The first test of a run also builds the guest.
pytestmark = pytest.mark.timeout(900)

REQUIRED = "verity require\nemergency poweroff\n"
OLD = "1f0e0000-0000-4000-8000-00000000071d"
EVIL_DISK = "1f0e0000-0000-4000-8000-00000000e1e1"


def evil(tiny: Tiny, name: str, uuid: str = "") -> Path:
    """Make the attacker's image, which boots and has a hash tree of its own; return its path.

    name: ID of its release. uuid: its image ID; that of the good image if empty.
    """
    path = image(tiny.directory / f"{name}.img", tiny.greeting, uuid or tiny.uuid(tiny.image), name)
    return tiny.with_hash_tree(path, name)[0]


def assert_evil(outcome: Outcome, name: str) -> None:
    """Assert that the attacker's stage 2 ran."""
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.greeting["release"] == [f"ID=tiny-{name}"]


def assert_refused(outcome: Outcome, reason: str) -> None:
    """Assert that a line gives the reason, and that the machine powered off without stage 2."""
    assert outcome.ending is Ending.POWEROFF and not outcome.greeted, outcome.console
    assert ">>>" not in outcome.console
    assert [line for line in outcome.lines if reason in line], "\n".join(outcome.lines)


@pytest.mark.platforms("uml", "qemu")
def test_modified_image_with_its_own_hash_tree_is_refused(verified: Tiny) -> None:
    """A modified image with the ID of the good image and a correct hash tree is refused."""
    good, words = verified.with_hash_tree(verified.image)
    drives = [Drive(verified.disk(files={verified.name: evil(verified, "modified")}))]
    mini = verified.identified(good, words, more="verity off\n")
    assert_evil(verified.boot(mini, drives), "modified")
    mini = verified.identified(good, words, more=REQUIRED)
    outcome = verified.boot(mini, drives)
    assert_refused(outcome, "I/O error")
    assert "verity" in outcome.console and "is corrupted" in outcome.console


def test_older_image_is_refused(verified: Tiny) -> None:
    """An older image, which was once valid, is refused in place of the current image."""
    good, words = verified.with_hash_tree(verified.image)
    drives = [Drive(verified.disk(files={verified.name: evil(verified, "older", OLD)}))]
    assert_evil(verified.boot(verified.configured(), drives), "older")
    outcome = verified.boot(verified.identified(good, words, more=REQUIRED), drives)
    assert_refused(outcome, f"belongs to image {verified.uuid(good)}")


# Case -> words on the kernel command line. The boot disk has the attacker's image as /evil.img and
# /evil.img.previous. A second disk has that image under the usual names, and a root filesystem.
WORDS = {
    "another image": "rd.initoverlayfs.fs=/evil.img",
    "another boot filesystem": f"rd.initoverlayfs.bootfs=UUID={EVIL_DISK}",
    "no image": f"rd.initoverlayfs=direct root=UUID={EVIL_DISK} rw init=/greeting",
    "no image, short": f"rd.initoverlayfs=0 root=UUID={EVIL_DISK} rw init=/greeting",
    "the previous image": "rd.initoverlayfs.fs=/none rd.initoverlayfs.fallback=direct"
    f" root=UUID={EVIL_DISK} rw init=/greeting",
}


@pytest.mark.parametrize("name", WORDS)
def test_command_line_cannot_bypass_verification(verified: Tiny, name: str) -> None:
    """With `verity require`, no word on the kernel command line boots an unverified system."""
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


# Prints its environment on the console, and powers the machine off.
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


def test_variables_of_interpreters_and_linkers_are_ignored(tiny: Tiny) -> None:
    """Variables that steer interpreters and linkers affect neither storage-init nor stage 2.

    The kernel turns unknown words on its command line into environment variables of /init.
    """
    words = "MICROPYPATH=/evil MICROPYINSPECT=1 PYTHONPATH=/evil LD_PRELOAD=/evil.so"
    # Without storage-init, all of the words reach the environment of the init.
    program = compiled(ENVIRONMENT, tiny.directory / "environment").read_bytes()
    plain = Mini.load(tiny.platform.initrd).without("init").with_program("init", program)
    console = tiny.boot(plain, [], words).console
    assert [word for word in words.split() if "environment " + word not in console] == []
    # If storage-init used a file of /evil, the boot would fail.
    mini = tiny.configured(files={"evil/storage_init.py": b"1 / 0\n", "evil.so": b"evil"})
    outcome = tiny.boot(mini, [Drive(tiny.disk())], words)
    assert outcome.greeted, outcome.console
    assert not set(words.split()) & set(outcome.greeting["environment"])


@pytest.mark.parametrize("start", ["/", "../../"])
def test_symlink_out_of_the_boot_filesystem_is_refused(tiny: Tiny, start: str) -> None:
    """If the image's name is a symbolic link to a disk with an image, the link is refused."""
    disk = tiny.disk(files={})
    target = start + tiny.device(1).lstrip("/")
    run(["debugfs", "-w", "-R", f"symlink {tiny.name} {target}", str(disk)])
    drives = [Drive(disk), Drive(tiny.image)]
    mini = tiny.configured(more="emergency poweroff\n")
    # The disk boots if it is named directly, so only the link can be the reason of the refusal.
    words = f"rd.initoverlayfs.bootfs={tiny.device(1)} rd.initoverlayfs.fs=-"
    assert tiny.boot(mini, drives, words).greeted
    assert_refused(
        tiny.boot(mini, drives),
        f"open /{tiny.name} in /stage1/boot: a symbolic link or .. leads out of the directory",
    )


def test_fs_with_dot_dot_is_ignored(tiny: Tiny) -> None:
    """If `fs` contains .., a line says that the setting is ignored, and the default is used."""
    words = f"rd.initoverlayfs.fs=/../..{tiny.device(1)}"
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk()), Drive(tiny.image)], words)
    assert outcome.greeted and outcome.boot["image"] == "/" + tiny.name
    said = (
        "kernel command line: rd.initoverlayfs.fs: fs ignored: expected a path that starts with /"
    )
    assert [line for line in outcome.lines if line.startswith(said)]
