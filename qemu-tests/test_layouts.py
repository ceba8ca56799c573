# SPDX-License-Identifier: MIT
"""Storage layouts that initoverlayfs-install accepts and refuses, made on a real kernel."""

import sys
from pathlib import Path

import pytest

from harness import uml
from harness.inside import layouts

ROOT = Path(__file__).resolve().parent.parent

pytestmark = [
    pytest.mark.uml,
    pytest.mark.skipif(uml.missing() is not None, reason=uml.missing() or ""),
]


def test_unreachable_layouts_are_refused(directory: Path) -> None:
    """initoverlayfs-install refuses each layout that stage 1 cannot reach, and names its kind."""
    disks = [directory / name for name in ("a", "b")]
    for disk in disks:
        with disk.open("wb") as file:
            file.truncate(6 << 30)
    script = ROOT / "harness/inside/layouts.py"
    path = ":".join(map(str, (ROOT, ROOT / "qemu-tests")))
    machine = uml.Uml(directory, script, sys.executable, path)
    found = machine.run(disks, {"decide": list(layouts.LAYOUTS)})
    assert [one["layout"] for one in found] == list(layouts.LAYOUTS)
    for one in found:
        wanted = layouts.LAYOUTS[one["layout"]].refused
        if wanted:
            start = "which storage-init cannot reach: " + wanted + ". Nothing was changed."
            assert start in one["refusal"], one
        else:
            assert one["refusal"] == "", one
