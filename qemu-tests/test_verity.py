# SPDX-License-Identifier: MIT
"""storage-init boots the image that the binding names, and dm-verity verifies that image."""

from pathlib import Path

import pytest

from harness import boot, bootdisk
from harness.guest import guest as build_guest
from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Outcome, Tiny, image

# The first test of a run also builds the guest.
pytestmark = pytest.mark.timeout(900)

OTHER = "1f0e0000-0000-4000-8000-00000000071e"


def other_image(tiny: Tiny) -> Path:
    """Make another image, with the ID OTHER, that boots as well."""
    return image(tiny.directory / "other.img", tiny.greeting, OTHER)


def assert_booted(outcome: Outcome, path: str, root_hash: str) -> None:
    """Assert that the first attempt booted stage 2 from the image at this path."""
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert (outcome.boot["image"], outcome.boot["attempt"]) == (path, "image")
    assert outcome.boot["verity"] == root_hash


@pytest.mark.parametrize("name", ["", ".new", ".previous"])
def test_image_is_found_by_id_under_each_name(tiny: Tiny, name: str) -> None:
    """The image with the ID in the binding boots under each of the three names."""
    files = {tiny.name + end: other_image(tiny) for end in ("", ".new", ".previous")[:1]}
    files[tiny.name + name] = tiny.image
    outcome = tiny.boot(tiny.identified(tiny.image), [Drive(tiny.disk(files=files))])
    assert_booted(outcome, f"/{tiny.name}{name}", "")


def test_mismatch_names_both_ids(tiny: Tiny) -> None:
    """If only another image exists, one line names both IDs, and the next attempt boots it."""
    files = {tiny.name: other_image(tiny)}
    outcome = tiny.boot(tiny.identified(tiny.image), [Drive(tiny.disk(files=files))])
    assert outcome.greeted and outcome.boot["attempt"] == "previous"
    (line,) = [line for line in outcome.lines if "belongs to image" in line]
    assert tiny.uuid(tiny.image) in line and f"/{tiny.name} is {OTHER}" in line


@pytest.mark.platforms("uml", "qemu")
def test_verified_image_boots(verified: Tiny) -> None:
    """An image with a hash tree boots through dm-verity."""
    path, words = verified.with_hash_tree(verified.image)
    disk = verified.disk(files={verified.name: path})
    outcome = verified.boot(verified.identified(path, words), [Drive(disk)])
    assert_booted(outcome, "/" + verified.name, words.split()[6])


def test_verified_image_on_a_whole_disk(verified: Tiny) -> None:
    """If the disk is the image with its hash tree, it boots without a loop device."""
    path, words = verified.with_hash_tree(verified.image)
    mini = verified.identified(path, words)
    mini = mini.configured(f"bootfs UUID={verified.uuid(path)}\nfs -\nverity require\n")
    outcome = verified.boot(mini, [Drive(path)])
    assert_booted(outcome, "-", words.split()[6])
    assert "loop" not in {line.split()[0] for line in outcome.greeting["module"]}


def test_fragmented_image_is_verified(verified: Tiny) -> None:
    """If the image is fragmented on ext4, its extents are joined and verified as one device."""
    path, words = verified.with_hash_tree(verified.image)
    files = {verified.name: path}
    disk = bootdisk.fragmented(verified.directory / "pieces", files)
    outcome = verified.boot(verified.identified(path, words), [Drive(disk)])
    assert_booted(outcome, "/" + verified.name, words.split()[6])
    assert any(" attached: loop as /dev/dm-0 " in line for line in outcome.lines)
    assert "ext4" not in {line.split()[0] for line in outcome.greeting["module"]}


@pytest.mark.slow
def test_debian_boots_verified(deb: Path) -> None:
    """Debian reaches multi-user.target from a verified image, and no dm device remains."""
    built = build_guest(deb, verity=True)
    booted = boot.boot(boot.options(built))
    assert booted.faults == [], booted.tail
    assert len(booted.report["boot"]["verity"]) == 64
