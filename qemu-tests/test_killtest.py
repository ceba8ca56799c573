# SPDX-License-Identifier: MIT
"""A few interrupted installations each leave a pair that boots. ./dev killtest runs many."""

import os
import random

import pytest

from harness import killtest, uml
from harness.killround import Round
from harness.tiny import Tiny

pytestmark = [
    # The first test of a run also builds the guest.
    pytest.mark.timeout(900),
    pytest.mark.skipif(uml.missing() is not None, reason=uml.missing() or ""),
]


@pytest.mark.parametrize(
    ("kind", "platform"),
    [*((kind, "uml") for kind in killtest.KINDS), ("ext4", "qemu")],
    indirect=["platform"],
)
def test_old_or_new_pair_boots(verified: Tiny, kind: str) -> None:
    """After an interruption at any moment, the old or the new pair boots, and --verify names it."""
    found = list(killtest.cases(verified, 3, os.urandom(4).hex(), (kind,)))
    assert [case.action for case in found] == ["install", "rollback", "install"]
    assert [case for case in found if not case.ok] == []


@pytest.mark.first
@pytest.mark.parametrize(("kind", "count"), [("vfat", 10), ("ext4", 4)])
def test_power_cut_leaves_a_whole_mini_initramfs(verified: Tiny, kind: str, count: int) -> None:
    """After a power cut at any write, the boot loader loads a whole mini-initramfs.

    In one of the runs on vfat, the directory entries of a name cross the end of a sector. On ext4,
    initoverlayfs-install must checkpoint the journal: otherwise, 25 moments of these runs fail.
    """
    runs = Round(verified, kind, count, random.Random("972385176 7"))
    assert runs.torn() == []


def test_writes_in_place_are_detected(verified: Tiny) -> None:
    """If the program overwrites both files in place, some interrupted runs fail the check."""
    found = list(killtest.cases(verified, 3, "in place", ("vfat",), broken=True))
    failed = [case for case in found if not case.ok]
    assert failed and not any(case.booted == "new" for case in failed)
