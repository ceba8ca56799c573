# SPDX-License-Identifier: MIT
"""Faults of every kind: a clear line, then the stated emergency action. Never a kernel panic.

Tiny.boot raises for a panic, so no case here needs to look for one.
"""

import pytest

from harness import bootdisk
from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Outcome, Tiny

# the first case of a run also builds the guest
pytestmark = pytest.mark.timeout(900)

NEVER = "1f0e0000-0000-4000-8000-00000000404e"
ENDINGS = {"reboot": Ending.RESET, "poweroff": Ending.POWEROFF, "halt": None}


def assert_ended(outcome: Outcome, pattern: str, how: str = "reboot") -> None:
    """storage-init said what failed, in one line, and did what it then announced."""
    assert not outcome.greeted
    assert outcome.ending is ENDINGS[how]
    said = [line for line in outcome.lines if pattern in line]
    assert len(said) == 1, f"{pattern!r}: want one line of\n" + "\n".join(outcome.lines)
    assert outcome.lines[-1] == f"no way to boot left: {how} in 10 s"


@pytest.mark.platforms("uml", "qemu")
def test_device_never_appears_poweroff(tiny: Tiny) -> None:
    """No device has the UUID: after the deadline, power-off as the command line says."""
    words = f"rd.initoverlayfs.bootfs=UUID={NEVER} rd.initoverlayfs.timeout=3 rd.emergency=poweroff"
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk())], words)
    said = f"wait for UUID={NEVER}: timed out after 3 s; seen: {tiny.device(0)} (ext4)"
    assert_ended(outcome, said, "poweroff")


def test_device_never_appears_reboot(tiny: Tiny) -> None:
    """No disk at all: after the deadline, a reboot as the configuration says."""
    outcome = tiny.boot(tiny.configured(more="timeout 3\nemergency reboot\n"), [])
    assert_ended(outcome, "timed out after 3 s; seen: no block device")
    # The image before this one is on the same device, of which all has been said.
    assert not [line for line in outcome.lines if line.startswith("previous: ")]
    assert outcome.lines[1] == (
        "attempts: image, previous, direct, then reboot; they wait at most 26 s in all"
    )


@pytest.mark.platforms("qemu")
def test_device_never_appears_halt(tiny: Tiny) -> None:
    """No disk at all: after the deadline, the machine halts."""
    words = "rd.timeout=3 rd.emergency=halt"
    outcome = tiny.boot(tiny.configured(), [], words, until="System halted")
    assert_ended(outcome, "timed out after 3 s", "halt")


def test_nothing_configured(tiny: Tiny) -> None:
    """Neither a configuration file nor words on the command line: a line says what to set."""
    outcome = tiny.boot(tiny.mini.configured(None), [Drive(tiny.disk())])
    assert_ended(outcome, "no boot filesystem is configured: set bootfs")


def test_image_missing(tiny: Tiny) -> None:
    """The boot filesystem is there and the image is not."""
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk(files={}))])
    assert_ended(outcome, f"open /{tiny.name} in /stage1/boot: No such file or directory")


def test_image_cut_off(tiny: Tiny) -> None:
    """The image's second half is missing."""
    half = tiny.directory / "half.img"
    content = tiny.image.read_bytes()
    half.write_bytes(content[: len(content) // 2])
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk(files={tiny.name: half}))])
    assert_ended(outcome, f"image /{tiny.name} is cut off")


def test_image_without_init(tiny: Tiny) -> None:
    """The image holds no init."""
    empty = tiny.image_without_init()
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk(files={tiny.name: empty}))])
    assert_ended(outcome, "no init to run")


def test_image_is_garbage(tiny: Tiny) -> None:
    """The image's file holds something else."""
    garbage = tiny.directory / "garbage.img"
    garbage.write_bytes(b"garbage\n" * 8192)
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk(files={tiny.name: garbage}))])
    assert_ended(outcome, f"image /{tiny.name} holds no filesystem that is known here")


@pytest.mark.parametrize("module", ["erofs", "overlay"])
def test_module_missing(tiny: Tiny, module: str) -> None:
    """The mini-initramfs lacks the file of a module that the boot needs."""
    mini = tiny.configured().without(module + ".ko")
    outcome = tiny.boot(mini, [Drive(tiny.disk())], smp=1)
    assert_ended(outcome, f"{module}.ko: No such file or directory")


@pytest.mark.platforms("qemu")
@pytest.mark.parametrize("table", ["modules", "aliases"])
def test_table_is_garbage(tiny: Tiny, table: str) -> None:
    """The table of modules, or of aliases, is binary garbage: no driver, so no device."""
    mini = tiny.configured(more="timeout 3\n")
    mini = mini.with_files({f"usr/lib/initoverlayfs/{table}": _garbage()})
    outcome = tiny.boot(mini, [Drive(tiny.disk())])
    assert_ended(outcome, "timed out after 3 s; seen: no block device")


def test_configuration_is_garbage(tiny: Tiny) -> None:
    """The configuration is binary garbage: warnings, then the line that says what to set."""
    mini = tiny.mini.with_files({"etc/initoverlayfs.conf": _garbage()})
    outcome = tiny.boot(mini, [Drive(tiny.disk())])
    assert_ended(outcome, "no boot filesystem is configured: set bootfs")


def test_garbage_configuration_and_good_command_line(tiny: Tiny) -> None:
    """The configuration is binary garbage, and the command line says what is needed: it boots."""
    mini = tiny.mini.with_files({"etc/initoverlayfs.conf": _garbage()})
    words = f"rd.initoverlayfs.bootfs=UUID={bootdisk.UUIDS['ext4']}"
    outcome = tiny.boot(mini, [Drive(tiny.disk())], words)
    assert outcome.greeted and outcome.ending is Ending.POWEROFF, outcome.console


def _garbage() -> bytes:
    """Every byte value, in an order that is no text, with lines, tabs and NULs among them."""
    return bytes((number * 167 + number // 256) % 256 for number in range(4096))
