# SPDX-License-Identifier: MIT
"""Make filesystems that were not unmounted: their last files are only in their journals."""

import sys
from pathlib import Path

from harness import uml

_ROOT = Path(__file__).resolve().parent.parent
_SCRIPT = _ROOT / "harness/inside/dirty.py"


def leave(disk: Path, kind: str, files: "dict[str, Path]", options: str = "rw") -> None:
    """Copy files into the filesystem on a disk, in user-mode Linux, and cut the machine's power.

    An ext4, xfs or btrfs has the files only in its journal then, and an open file that was removed.
    files: name -> source. options: of mount(8). Raises UmlFailure.
    """
    directory = disk.with_name(disk.name + ".dirty")
    directory.mkdir()
    task = {
        "fstype": kind,
        "options": options,
        "files": {name: str(source) for name, source in files.items()},
    }
    uml.Uml(directory, _SCRIPT, sys.executable, str(_ROOT)).run([disk], task)
