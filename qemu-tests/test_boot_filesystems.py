# SPDX-License-Identifier: MIT
"""Publishing on each type of boot filesystem: without hard links on vfat, for instance."""

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
def test_publishing(tmp_path: Path, kind: str) -> None:
    """The tests of pairs pass with their files on it, among them runs ended at each step.

    And where it fills up while they write, all is as it was.
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
