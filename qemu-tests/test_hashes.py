# SPDX-License-Identifier: MIT
"""A CPU with instructions for hashing: their module comes before those that are hashed with it."""

import pytest

from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Outcome, Tiny

# the first case of a run also builds the guest
pytestmark = [pytest.mark.timeout(900), pytest.mark.platforms("qemu")]

SSSE3 = ("-cpu", "qemu64,+ssse3")


def modules(outcome: Outcome) -> list[str]:
    """The modules that are loaded when stage 2 runs, the first one first."""
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    return [line.split()[0] for line in reversed(outcome.greeting["module"])]


def test_it_is_loaded_first(tiny: Tiny) -> None:
    """With one processor, it is there before every other module; without SSSE3 it never is.

    Nor is it where it is on the blacklist.
    """
    drives = [Drive(tiny.disk())]
    found = modules(tiny.boot(tiny.configured(), drives, smp=1, extra=SSSE3))
    assert found[0] == "sha256_ssse3" and "erofs" in found
    words = "modprobe.blacklist=sha256-ssse3"
    found = modules(tiny.boot(tiny.configured(), drives, words, smp=1, extra=SSSE3))
    assert "sha256_ssse3" not in found and "erofs" in found
    found = modules(tiny.boot(tiny.configured(), drives, smp=1))
    assert "sha256_ssse3" not in found and "erofs" in found


def test_it_is_loaded_beside_others(tiny: Tiny) -> None:
    """With two processors a child loads it, and it is there when stage 2 runs."""
    drives = [Drive(tiny.disk())]
    found = modules(tiny.boot(tiny.configured(), drives, smp=2, extra=SSSE3))
    assert "sha256_ssse3" in found


def test_verification_takes_it(verified: Tiny) -> None:
    """dm-verity names the instructions it hashes with."""
    path, words = verified.with_hash_tree(verified.image)
    drives = [Drive(verified.disk(files={verified.name: path}))]
    outcome = verified.boot(verified.identified(path, words), drives, "loglevel=8", extra=SSSE3)
    assert "sha256_ssse3" in modules(outcome)
    assert 'verity: sha256 using shash "sha256-ssse3"' in outcome.console
