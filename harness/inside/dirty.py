# SPDX-License-Identifier: MIT
"""Leave the filesystem in /dev/ubda dirty: its last files are only in its journal.

Runs in user-mode Linux. task.json in the directory that is the argument names the filesystem's type
and the mount options, and the files to copy into it. The machine then ends without unmounting.
result.json is an empty list.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

MOUNT = Path("/run/dirty")
_POWER_OFF = 0x4321FEDC  # RB_POWER_OFF of reboot(2)


def main(directory: Path) -> None:
    """Mount the filesystem, copy the files, leave an orphan, and write the result."""
    task = json.loads((directory / "task.json").read_text())
    MOUNT.mkdir()
    line = ["mount", "-t", task["fstype"], "-o", task["options"], "/dev/ubda", str(MOUNT)]
    subprocess.run(line, check=True)
    orphan = (MOUNT / "orphan").open("w")
    orphan.write("x" * 100000)
    orphan.flush()
    os.fsync(orphan.fileno())
    (MOUNT / "orphan").unlink()
    # btrfs would commit a new file, or an unlinked one, at once and without a log.
    for name in task["files"]:
        (MOUNT / name).touch()
    os.sync()
    # From here on, data reach the journal only.
    for name, source in task["files"].items():
        shutil.copy(source, MOUNT / name)
        _sync(MOUNT / name)
    (directory / "result.json").write_text("[]")
    _sync(directory / "result.json")
    # poweroff(8) would call sync(2). The orphan is open until now.
    ctypes.CDLL(None).reboot(_POWER_OFF)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
