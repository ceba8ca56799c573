# SPDX-License-Identifier: MIT
"""If an attempt fails, the next one follows: image, previous image, direct boot."""

from pathlib import Path

import pytest

from harness import boot, bootdisk
from harness.guest import Guest
from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Tiny

# The first test of a run also builds the guest.
pytestmark = pytest.mark.timeout(900)

ROOT_UUID = "1f0e0000-0000-4000-8000-0000000071f0"


@pytest.fixture
def root(tiny: Tiny) -> Path:
    """Make a disk with a root filesystem whose /greeting is the greeting."""
    greeting = tiny.directory / "greeting"
    greeting.write_bytes((tiny.image.parent / "greeting").read_bytes())
    greeting.chmod(0o755)
    return tiny.disk(uuid=ROOT_UUID, files={"greeting": greeting})


@pytest.mark.platforms("uml", "qemu")
def test_garbage_image_falls_back_to_the_previous_image(tiny: Tiny) -> None:
    """If the image is garbage, the previous image boots, and one log line gives the reason."""
    garbage = tiny.directory / "garbage.img"
    garbage.write_bytes(b"garbage\n" * 8192)
    files = {tiny.name: garbage, tiny.name + ".previous": tiny.image}
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk(files=files))])
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["attempt"] == "previous"
    assert outcome.boot["image"] == f"/{tiny.name}.previous"
    said = f"image: image /{tiny.name} holds no filesystem that is known here"
    assert len([line for line in outcome.lines if line.startswith(said)]) == 1


def test_missing_images_fall_back_to_a_direct_boot(tiny: Tiny, root: Path) -> None:
    """If there is no image, the root filesystem of the kernel command line boots directly."""
    words = f"root=UUID={ROOT_UUID} rw init=/greeting"
    drives = [Drive(tiny.disk(files={})), Drive(root)]
    outcome = tiny.boot(tiny.configured(), drives, words)
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert (outcome.boot["attempt"], outcome.boot["device"]) == ("direct", tiny.device(1))
    assert outcome.greeting["writable"] == ["yes"]


def test_missing_root_falls_back_to_the_image(tiny: Tiny) -> None:
    """If the direct boot is the first attempt and its disk never appears, the image boots."""
    words = "rd.initoverlayfs=direct root=LABEL=nowhere rd.timeout=2"
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk())], words)
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["attempt"] == "image"
    assert any(line.startswith("direct: wait for LABEL=nowhere") for line in outcome.lines)


@pytest.mark.slow
def test_debian_boots_directly(guest: Guest) -> None:
    """With rd.initoverlayfs=direct, Debian reaches multi-user.target without stage 2."""
    booted = boot.boot(boot.options(guest, "rd.initoverlayfs=direct"))
    assert booted.report["boot"]["attempt"] == "direct", booted.tail
    assert booted.report["failed_units"] == [] and booted.report["leftovers"] == []


def test_verity_require_refuses_an_unverified_image(tiny: Tiny) -> None:
    """With `verity require` and no root hash, no word on the command line boots anything."""
    mini = tiny.configured(more="verity require\nemergency poweroff\n")
    words = f"rd.shell rd.break rd.initoverlayfs=direct root=UUID={bootdisk.UUIDS['ext4']}"
    outcome = tiny.boot(mini, [Drive(tiny.disk())], words)
    assert outcome.ending is Ending.POWEROFF and not outcome.greeted
    assert ">>>" not in outcome.console
    assert "image: verity require: this mini-initramfs has no root hash to verify by" in (
        outcome.lines
    )
    ignored = [line for line in outcome.lines if "ignored: the configuration says" in line]
    assert len(ignored) == 3
