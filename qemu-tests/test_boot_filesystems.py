# SPDX-License-Identifier: MIT
"""Pairs are published atomically on each type of boot filesystem, even without hard links."""

import re
import sys
from pathlib import Path

import pytest

from harness import bootdisk, uml

pytestmark = [
    pytest.mark.uml,
    pytest.mark.timeout(600),
    pytest.mark.skipif(uml.missing() is not None, reason=uml.missing() or ""),
]

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("kind", ["ext4", "vfat", "xfs", "btrfs"])
def test_pairs_are_published_atomically(tmp_path: Path, kind: str) -> None:
    """The tests of pairs pass on this type of filesystem, including runs killed at each step.

    If the filesystem fills up during an installation, the old pair stays unchanged.
    """
    disk = bootdisk.make(tmp_path / "disk", kind, {})
    path = ":".join(map(str, (ROOT, ROOT / "qemu-tests", ROOT / "tests/host")))
    script = ROOT / "harness/inside/tests.py"
    chosen = "previous_pair or copied or damaged_image or test_rollback and two and True"
    chosen += " or test_install and one and True or fills_up"
    files = ["tests/host/test_pairs.py", "tests/host/test_publish.py"]
    arguments = [*files, "harness/inside/full_disk.py", "-k", chosen]
    task = {"fstype": kind, "tree": str(ROOT), "arguments": arguments}
    (result,) = uml.Uml(tmp_path, script, sys.executable, path).run([disk], task)
    assert result["status"] == 0, result["output"]
    assert int(re.findall(r"(\d+) passed", result["output"])[0]) >= 5
