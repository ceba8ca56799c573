# SPDX-License-Identifier: MIT
"""The module of an accelerated hash is loaded before the modules whose signatures require it."""

import pytest

from harness.machine import Drive
from harness.running import Ending
from harness.tiny import Outcome, Tiny

# The first test of a run also builds the guest.
pytestmark = [pytest.mark.timeout(900), pytest.mark.platforms("qemu")]

SSSE3 = ("-cpu", "qemu64,+ssse3")


def modules(outcome: Outcome) -> list[str]:
    """Return the modules that are loaded when stage 2 runs, in the order of loading."""
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    return [line.split()[0] for line in reversed(outcome.greeting["module"])]


def test_hash_module_is_loaded_first(tiny: Tiny) -> None:
    """With one processor, the hash module is loaded before every other module.

    If the module is blacklisted or the CPU lacks SSSE3, it is not loaded.
    """
    drives = [Drive(tiny.disk())]
    found = modules(tiny.boot(tiny.configured(), drives, smp=1, extra=SSSE3))
    assert found[0] == "sha256_ssse3" and "erofs" in found
    words = "modprobe.blacklist=sha256-ssse3"
    found = modules(tiny.boot(tiny.configured(), drives, words, smp=1, extra=SSSE3))
    assert "sha256_ssse3" not in found and "erofs" in found
    found = modules(tiny.boot(tiny.configured(), drives, smp=1))
    assert "sha256_ssse3" not in found and "erofs" in found


def test_hash_module_is_loaded_in_parallel(tiny: Tiny) -> None:
    """With two processors, a child process loads the hash module before stage 2 runs."""
    drives = [Drive(tiny.disk())]
    found = modules(tiny.boot(tiny.configured(), drives, smp=2, extra=SSSE3))
    assert "sha256_ssse3" in found


def test_verity_uses_the_hash_module(verified: Tiny) -> None:
    """dm-verity hashes with the CPU's instructions, and the kernel's log names the driver."""
    path, words = verified.with_hash_tree(verified.image)
    drives = [Drive(verified.disk(files={verified.name: path}))]
    outcome = verified.boot(verified.identified(path, words), drives, "loglevel=8", extra=SSSE3)
    assert "sha256_ssse3" in modules(outcome)
    assert 'verity: sha256 using shash "sha256-ssse3"' in outcome.console
