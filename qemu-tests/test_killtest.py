# SPDX-License-Identifier: MIT
"""Installations that are ended at random moments: a few of them. ./dev killtest runs many."""

import os
import random

import pytest

from harness import killtest, uml
from harness.killround import Round
from harness.tiny import Tiny

pytestmark = [
    # the first case of a run also builds the guest
    pytest.mark.timeout(900),
    pytest.mark.skipif(uml.missing() is not None, reason=uml.missing() or ""),
]


@pytest.mark.parametrize(
    ("kind", "platform"),
    [*((kind, "uml") for kind in killtest.KINDS), ("ext4", "qemu")],
    indirect=["platform"],
)
def test_the_old_or_the_new_pair_boots(verified: Tiny, kind: str) -> None:
    """Whatever moment it was, one of the two boots, and --verify says which."""
    found = list(killtest.cases(verified, 3, os.urandom(4).hex(), (kind,)))
    assert [case.action for case in found] == ["install", "rollback", "install"]
    assert [case for case in found if not case.ok] == []


@pytest.mark.parametrize(("kind", "count"), [("vfat", 10), ("ext4", 4)])
def test_a_power_cut_at_any_moment(verified: Tiny, kind: str, count: int) -> None:
    """After each flush of some runs, a bootloader loads a whole mini-initramfs, of what is there.

    In one on vfat a sector ends within the entries of a name. On ext4 it is the checkpoint of the
    journal that this needs: without it, 25 moments of these runs fail.
    """
    runs = Round(verified, kind, count, random.Random("972385176 7"))
    assert runs.torn() == []


def test_a_program_that_writes_in_place_is_found_out(verified: Tiny) -> None:
    """The test can fail: of installations that write both files in place, some do not boot."""
    found = list(killtest.cases(verified, 3, "in place", ("vfat",), broken=True))
    failed = [case for case in found if not case.ok]
    assert failed and not any(case.booted == "new" for case in failed)
