# SPDX-License-Identifier: MIT
"""Stage 1 of the tiny guest keeps within tests/budget.json."""

import pytest
from harness import stage1
from harness.tiny import Tiny

from benchmarks import budget

# the first case of a run also builds the guest
pytestmark = pytest.mark.timeout(900)


def test_stage_1_in_virtual_time(tiny: Tiny) -> None:
    """Where nothing is waited for, virtual time is what is executed, however busy the host is."""
    line = budget.verdict("stage 1 in virtual time", stage1.median_ms(tiny))
    if line:
        pytest.fail(line, pytrace=False)
