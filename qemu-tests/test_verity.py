# SPDX-License-Identifier: MIT
"""The image that belongs to the mini-initramfs, and dm-verity: what is wrong does not boot."""

from pathlib import Path

import pytest

from harness import boot, bootdisk
from harness.guest import guest as build_guest
from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Outcome, Tiny, image

# the first case of a run also builds the guest
pytestmark = pytest.mark.timeout(900)

OTHER = "1f0e0000-0000-4000-8000-00000000071e"


def other_image(tiny: Tiny) -> Path:
    """Another image, of another id, that boots as well."""
    return image(tiny.directory / "other.img", tiny.greeting, OTHER)


def assert_booted(outcome: Outcome, path: str, root_hash: str) -> None:
    """Stage 2 ran from the image at this path, by the first attempt."""
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert (outcome.boot["image"], outcome.boot["attempt"]) == (path, "image")
    assert outcome.boot["verity"] == root_hash


@pytest.mark.parametrize("name", ["", ".new", ".previous"])
def test_the_image_of_the_id_is_found_under_any_of_the_names(tiny: Tiny, name: str) -> None:
    """The image that belongs to the mini-initramfs has one of three names; another the others."""
    files = {tiny.name + end: other_image(tiny) for end in ("", ".new", ".previous")[:1]}
    files[tiny.name + name] = tiny.image
    outcome = tiny.boot(tiny.identified(tiny.image), [Drive(tiny.disk(files=files))])
    assert_booted(outcome, f"/{tiny.name}{name}", "")


def test_a_mismatch_names_both(tiny: Tiny) -> None:
    """Only another image is there: a line names both ids, and the next attempt takes it."""
    files = {tiny.name: other_image(tiny)}
    outcome = tiny.boot(tiny.identified(tiny.image), [Drive(tiny.disk(files=files))])
    assert outcome.greeted and outcome.boot["attempt"] == "previous"
    (line,) = [line for line in outcome.lines if "belongs to image" in line]
    assert tiny.uuid(tiny.image) in line and f"/{tiny.name} is {OTHER}" in line


@pytest.mark.platforms("uml", "qemu")
def test_verified(verified: Tiny) -> None:
    """An image with its hash tree boots through dm-verity, and nothing of that is left over."""
    path, words = verified.with_hash_tree(verified.image)
    disk = verified.disk(files={verified.name: path})
    outcome = verified.boot(verified.identified(path, words), [Drive(disk)])
    assert_booted(outcome, "/" + verified.name, words.split()[6])


def test_verified_straight_on_a_disk(verified: Tiny) -> None:
    """The disk is the image with its hash tree: no loop device in between."""
    path, words = verified.with_hash_tree(verified.image)
    mini = verified.identified(path, words)
    mini = mini.configured(f"bootfs UUID={verified.uuid(path)}\nfs -\nverity require\n")
    outcome = verified.boot(mini, [Drive(path)])
    assert_booted(outcome, "-", words.split()[6])
    assert "loop" not in {line.split()[0] for line in outcome.greeting["module"]}


def test_verified_in_pieces(verified: Tiny) -> None:
    """The image lies in many pieces on its ext4: they are joined, and verified as one."""
    path, words = verified.with_hash_tree(verified.image)
    files = {verified.name: path}
    disk = bootdisk.fragmented(verified.directory / "pieces", files)
    outcome = verified.boot(verified.identified(path, words), [Drive(disk)])
    assert_booted(outcome, "/" + verified.name, words.split()[6])
    assert any(" attached: loop as /dev/dm-0 " in line for line in outcome.lines)
    assert "ext4" not in {line.split()[0] for line in outcome.greeting["module"]}


def test_debian_verified(deb: Path) -> None:
    """Debian boots from a verified image to multi-user, and leaves no dm device behind."""
    built = build_guest(deb, verity=True)
    booted = boot.boot(boot.options(built))
    assert booted.faults == [], booted.tail
    assert len(booted.report["boot"]["verity"]) == 64
