# SPDX-License-Identifier: MIT
"""A fault leads to one line with the reason and to the emergency action, never to a panic.

Tiny.boot() raises MachineFailure for a kernel panic, so the tests do not check for one.
"""

import pytest

from harness import bootdisk
from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Outcome, Tiny

# The first test of a run also builds the guest.
pytestmark = pytest.mark.timeout(900)

NEVER = "1f0e0000-0000-4000-8000-00000000404e"
ENDINGS = {"reboot": Ending.RESET, "poweroff": Ending.POWEROFF, "halt": None}


def assert_ended(outcome: Outcome, pattern: str, how: str = "reboot") -> None:
    """Assert that one line contains `pattern`, and that the announced emergency action followed."""
    assert not outcome.greeted
    assert outcome.ending is ENDINGS[how]
    said = [line for line in outcome.lines if pattern in line]
    assert len(said) == 1, f"{pattern!r}: want one line of\n" + "\n".join(outcome.lines)
    assert outcome.lines[-1] == f"no way to boot left: {how} in 10 s"


@pytest.mark.platforms("uml", "qemu")
def test_device_never_appears_poweroff(tiny: Tiny) -> None:
    """If no device has the UUID, the wait times out, and the command line's power-off follows."""
    words = f"rd.initoverlayfs.bootfs=UUID={NEVER} rd.initoverlayfs.timeout=3 rd.emergency=poweroff"
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk())], words)
    said = f"wait for UUID={NEVER}: timed out after 3 s; seen: {tiny.device(0)} (ext4)"
    assert_ended(outcome, said, "poweroff")


def test_device_never_appears_reboot(tiny: Tiny) -> None:
    """If there is no disk, the wait times out, and the configured reboot follows."""
    outcome = tiny.boot(tiny.configured(more="timeout 3\nemergency reboot\n"), [])
    assert_ended(outcome, "timed out after 3 s; seen: no block device")
    # The previous image is on the same device, so its attempt has nothing new to report.
    assert not [line for line in outcome.lines if line.startswith("previous: ")]
    assert outcome.lines[1] == (
        "attempts: image, previous, direct, then reboot; they wait at most 26 s in all"
    )


@pytest.mark.platforms("qemu")
def test_device_never_appears_halt(tiny: Tiny) -> None:
    """If there is no disk, the wait times out, and the command line's halt follows."""
    words = "rd.timeout=3 rd.emergency=halt"
    outcome = tiny.boot(tiny.configured(), [], words, until="System halted")
    assert_ended(outcome, "timed out after 3 s", "halt")


def test_missing_configuration(tiny: Tiny) -> None:
    """If neither file nor command line configures a boot filesystem, a line says what to set."""
    outcome = tiny.boot(tiny.mini.configured(None), [Drive(tiny.disk())])
    assert_ended(outcome, "no boot filesystem is configured: set bootfs")


def test_image_missing(tiny: Tiny) -> None:
    """If the boot filesystem lacks the image, one line names the missing file."""
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk(files={}))])
    assert_ended(outcome, f"open /{tiny.name} in /stage1/boot: No such file or directory")


def test_image_truncated(tiny: Tiny) -> None:
    """If the second half of the image is missing, one line says that the image is cut off."""
    half = tiny.directory / "half.img"
    content = tiny.image.read_bytes()
    half.write_bytes(content[: len(content) // 2])
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk(files={tiny.name: half}))])
    assert_ended(outcome, f"image /{tiny.name} is cut off")


def test_image_without_init(tiny: Tiny) -> None:
    """If the image contains no init, one line says so."""
    empty = tiny.image_without_init()
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk(files={tiny.name: empty}))])
    assert_ended(outcome, "no init to run")


def test_image_is_garbage(tiny: Tiny) -> None:
    """If the image is not a filesystem, one line says so."""
    garbage = tiny.directory / "garbage.img"
    garbage.write_bytes(b"garbage\n" * 8192)
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk(files={tiny.name: garbage}))])
    assert_ended(outcome, f"image /{tiny.name} holds no filesystem that is known here")


@pytest.mark.parametrize("module", ["erofs", "overlay"])
def test_module_missing(tiny: Tiny, module: str) -> None:
    """If the mini-initramfs lacks the file of a required module, one line names the file."""
    mini = tiny.configured().without(module + ".ko")
    outcome = tiny.boot(mini, [Drive(tiny.disk())], smp=1)
    assert_ended(outcome, f"{module}.ko: No such file or directory")


@pytest.mark.platforms("qemu")
@pytest.mark.parametrize("table", ["modules", "aliases"])
def test_table_is_garbage(tiny: Tiny, table: str) -> None:
    """If the table of modules or aliases is garbage, no disk appears, and the wait times out."""
    mini = tiny.configured(more="timeout 3\n")
    mini = mini.with_files({f"usr/lib/initoverlayfs/{table}": _garbage()})
    outcome = tiny.boot(mini, [Drive(tiny.disk())])
    assert_ended(outcome, "timed out after 3 s; seen: no block device")


def test_configuration_is_garbage(tiny: Tiny) -> None:
    """If the configuration is garbage, one line says which setting is required."""
    mini = tiny.mini.with_files({"etc/initoverlayfs.conf": _garbage()})
    outcome = tiny.boot(mini, [Drive(tiny.disk())])
    assert_ended(outcome, "no boot filesystem is configured: set bootfs")


def test_command_line_replaces_a_garbage_configuration(tiny: Tiny) -> None:
    """If the configuration is garbage, settings on the command line suffice to boot."""
    mini = tiny.mini.with_files({"etc/initoverlayfs.conf": _garbage()})
    words = f"rd.initoverlayfs.bootfs=UUID={bootdisk.UUIDS['ext4']}"
    outcome = tiny.boot(mini, [Drive(tiny.disk())], words)
    assert outcome.greeted and outcome.ending is Ending.POWEROFF, outcome.console


def _garbage() -> bytes:
    """Return bytes of every value that are not valid text, newlines, tabs and NULs included."""
    return bytes((number * 167 + number // 256) % 256 for number in range(4096))
