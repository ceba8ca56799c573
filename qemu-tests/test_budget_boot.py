# SPDX-License-Identifier: MIT
"""Stage 1 of the tiny guest meets its budget in tests/budget.json."""

import pytest

from benchmarks import budget
from harness import stage1
from harness.tiny import Tiny

NAME = "stage 1 in virtual time"

# The first test of a run also builds the guest.
pytestmark = [pytest.mark.timeout(1800), pytest.mark.platforms("qemu")]


def test_stage_1_meets_its_budget(tiny: Tiny) -> None:
    """The fastest of a few boots meets the budget: a busy host can only make a boot slower."""
    allowed = budget.allowed(budget.load()[NAME])
    line = budget.verdict(NAME, stage1.least_ms(tiny, allowed))
    if line:
        pytest.fail(line, pytrace=False)
