# SPDX-License-Identifier: MIT
"""Each fault has its promised outcome, in time. ./dev faults writes docs/faults.md from it."""

from typing import Callable

import pytest
from fault_cases import FAULTS

from harness.faults import Fault, run
from harness.tiny import Tiny

# The first test of a run also builds the guest.
pytestmark = pytest.mark.timeout(900)


CASES = [(fault, name) for fault in FAULTS for name in fault.platforms]


@pytest.mark.parametrize(
    ("fault", "platform"),
    CASES,
    ids=[f"{fault.name}, {name}" for fault, name in CASES],
    indirect=["platform"],
)
def test_fault(
    fault: Fault, platform: str, verified: Tiny, record_property: Callable[[str, object], None]
) -> None:
    """If the fault happens, the boot has the promised outcome within the promised time."""
    row = run(fault, verified, platform)
    console = row.pop("console")
    record_property("fault", row)
    assert row["ok"], f"{row}\n{console}"
