# SPDX-License-Identifier: MIT
"""Each fault of the table ends in what is promised for it, in time. ./dev faults writes it down."""

from typing import Callable

import pytest
from fault_cases import FAULTS

from harness.faults import Fault, run
from harness.tiny import Tiny

# the first case of a run also builds the guest
pytestmark = pytest.mark.timeout(900)


CASES = [(fault, kind) for fault in FAULTS for kind in fault.machines]


@pytest.mark.parametrize(
    ("fault", "machine"),
    CASES,
    ids=[f"{fault.name}, {kind}" for fault, kind in CASES],
    indirect=["machine"],
)
def test_fault(
    fault: Fault, machine: str, verified: Tiny, record_property: Callable[[str, object], None]
) -> None:
    """It happens, and the machine does what is promised, in time."""
    row = run(fault, verified, machine)
    console = row.pop("console")
    record_property("fault", row)
    assert row["ok"], f"{row}\n{console}"
