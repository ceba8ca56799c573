# SPDX-License-Identifier: MIT
"""Runs in user-mode Linux: tests of this tree, with their files on the filesystem in /dev/ubda.

task.json in the directory that is its argument names the type and pytest's arguments; result.json
says how it went.
"""

import json
import subprocess
import sys
from pathlib import Path

BOOT = Path("/run/boot")


def main(directory: Path) -> None:
    task = json.loads((directory / "task.json").read_text())
    BOOT.mkdir()
    subprocess.run(["mount", "-t", task["fstype"], "/dev/ubda", str(BOOT)], check=True)
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp"]
    done = subprocess.run(
        [*line, str(BOOT / "tests"), *task["arguments"]],
        cwd=task["tree"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    subprocess.run(["umount", str(BOOT)], check=True)
    result = [{"status": done.returncode, "output": done.stdout}]
    (directory / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
