# SPDX-License-Identifier: MIT
"""What is tried when the image is not to be had, and what is tried before it."""

from pathlib import Path

import pytest

from harness import boot, bootdisk
from harness.guest import Guest
from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Tiny

# the first case of a run also builds the guest
pytestmark = pytest.mark.timeout(900)

ROOT_UUID = "1f0e0000-0000-4000-8000-0000000071f0"


@pytest.fixture
def root(tiny: Tiny) -> Path:
    """A root filesystem whose /greeting is the greeting."""
    greeting = tiny.directory / "greeting"
    greeting.write_bytes((tiny.image.parent / "greeting").read_bytes())
    greeting.chmod(0o755)
    return tiny.disk(uuid=ROOT_UUID, files={"greeting": greeting})


@pytest.mark.platforms("uml", "qemu")
def test_previous_image(tiny: Tiny) -> None:
    """The image is garbage and the one before it is there: that one boots, a line says why."""
    garbage = tiny.directory / "garbage.img"
    garbage.write_bytes(b"garbage\n" * 8192)
    files = {tiny.name: garbage, tiny.name + ".previous": tiny.image}
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk(files=files))])
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["attempt"] == "previous"
    assert outcome.boot["image"] == f"/{tiny.name}.previous"
    said = f"image: image /{tiny.name} holds no filesystem that is known here"
    assert len([line for line in outcome.lines if line.startswith(said)]) == 1


def test_no_image_and_so_the_root_filesystem(tiny: Tiny, root: Path) -> None:
    """No image at all: the root filesystem of the kernel command line boots by itself."""
    words = f"root=UUID={ROOT_UUID} rw init=/greeting"
    drives = [Drive(tiny.disk(files={})), Drive(root)]
    outcome = tiny.boot(tiny.configured(), drives, words)
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert (outcome.boot["attempt"], outcome.boot["device"]) == ("direct", tiny.device(1))
    assert outcome.greeting["writable"] == ["yes"]


def test_a_root_that_never_appears_goes_to_the_image(tiny: Tiny) -> None:
    """The root filesystem comes first and its disk is not there: the image boots instead."""
    words = "rd.initoverlayfs=direct root=LABEL=nowhere rd.timeout=2"
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk())], words)
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["attempt"] == "image"
    assert any(line.startswith("direct: wait for LABEL=nowhere") for line in outcome.lines)


@pytest.mark.slow
def test_debian_boots_directly(guest: Guest) -> None:
    """rd.initoverlayfs=direct: Debian reaches multi-user from its root filesystem, no stage 2."""
    booted = boot.boot(boot.options(guest, "rd.initoverlayfs=direct"))
    assert booted.report["boot"]["attempt"] == "direct", booted.tail
    assert booted.report["failed_units"] == [] and booted.report["leftovers"] == []


def test_verity_is_required(tiny: Tiny) -> None:
    """verity require, and no root hash: no image boots, and no word on the command line helps."""
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
