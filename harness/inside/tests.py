# SPDX-License-Identifier: MIT
"""Run tests of this checkout with their temporary files on the filesystem in /dev/ubda.

Runs in user-mode Linux. The argument is a directory: task.json in it names the filesystem's type
and pytest's arguments, and result.json gets the exit status and the output.
"""

import json
import subprocess
import sys
from pathlib import Path

BOOT = Path("/run/boot")


def main(directory: Path) -> None:
    """Mount the filesystem, run the tests, and write the result."""
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
