# SPDX-License-Identifier: MIT
"""Runs in user-mode Linux: installs onto a disk again and again, rolls back, is killed at that.

/dev/ubda is the disk, /dev/ubdb takes the log of what is written to it. task.json in the directory
that is its argument says what to do; result.json says when it was done. initoverlayfs-install is
the real one, but for the building: what is prepared is taken for built.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Optional

from initoverlayfs import main as program
from initoverlayfs.build import mini, pair, requirements
from initoverlayfs.build.job import Job
from initoverlayfs.install import pairs
from initoverlayfs.install.places import Places

ROOT = Path("/run/root")
DEVICE = "logged"


def run(*line: str) -> None:
    subprocess.run(line, check=True)


def mark(text: str) -> None:
    """Note in the log that it is now."""
    run("dmsetup", "message", DEVICE, "0", "mark", text)


def flush() -> None:
    """Have all that was written on the disk: only a flush takes it into the log."""
    os.sync()
    disk = os.open("/dev/dm-0", os.O_RDONLY)
    os.fsync(disk)
    os.close(disk)


def prepare(task: dict[str, Any]) -> None:
    """The system at ROOT, with the boot filesystem mounted."""
    table = f"0 {task['sectors']} log-writes /dev/ubda /dev/ubdb"
    run("dmsetup", "create", DEVICE, "--noudevsync", "--table", table)
    for name in ("boot", "etc", "var/cache", f"usr/lib/modules/{task['release']}"):
        (ROOT / name).mkdir(parents=True)
    run("mount", "-t", task["fstype"], "/dev/dm-0", str(ROOT / "boot"))
    (ROOT / "etc/debian_version").write_text("13\n")
    (ROOT / "etc/fstab").write_text(f"UUID={task['uuid']} /boot {task['fstype']} defaults 0 2\n")
    (ROOT / "usr/lib/modules" / task["release"] / "modules.dep").touch()


def overwrite(files: dict[Path, bytes]) -> None:
    for path, content in files.items():
        with path.open("wb") as new:
            for at in range(0, len(content), 1 << 16):
                new.write(content[at : at + (1 << 16)])
                os.fsync(new.fileno())


def install_in_place(places: Places, mini: Path, image: Path) -> None:
    """What the kill test has to find fault with."""
    if places.image.exists():
        shutil.copy(places.image, places.previous)
        shutil.copy(places.initramfs, places.previous_initramfs)
    overwrite({places.image: image.read_bytes(), places.initramfs: mini.read_bytes()})


def rollback_in_place(places: Places) -> None:
    """The same."""
    image, mini = places.image.read_bytes(), places.initramfs.read_bytes()
    overwrite(
        {
            places.image: places.previous.read_bytes(),
            places.initramfs: places.previous_initramfs.read_bytes(),
            places.previous: image,
            places.previous_initramfs: mini,
        }
    )


def child(prepared: Optional[str], broken: bool, release: str) -> int:
    """initoverlayfs-install, in a process of its own. prepared: nothing for a rollback."""

    def built(job: Job) -> tuple[Path, Path]:
        for name in ("mini", "image"):
            shutil.copy(Path(str(prepared)) / name, job.path(name))
        return job.path("mini"), job.path("image")

    pair.build = built
    for name in ("require_tools", "require_builders", "require_veritysetup"):
        setattr(requirements, name, lambda *arguments: None)
    mini.cpython_size = lambda path: 0
    if broken:
        pairs.install = install_in_place
        pairs.rollback = rollback_in_place
    what = "--rollback" if prepared is None else "-f"
    return program.main(["--root", str(ROOT), what, "--kver", release])


def end(process: int, after: Any) -> dict[str, Any]:
    """Wait for the process; kill it after so many seconds, if that is a number."""
    started = time.monotonic()
    descriptor = os.pidfd_open(process)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(after and after * 1000):
        os.killpg(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    os.close(descriptor)
    return {"seconds": time.monotonic() - started, "status": os.waitstatus_to_exitcode(status)}


def main(directory: Path) -> None:
    task = json.loads((directory / "task.json").read_text())
    prepare(task)
    results: list[dict[str, Any]] = []
    for number, one in enumerate(task["runs"]):
        mark(f"start-{number}")
        process = os.fork()
        if process == 0:
            status = 99
            try:
                os.setpgid(0, 0)
                output = os.open(directory / f"output-{number}", os.O_WRONLY | os.O_CREAT)
                os.dup2(output, 1)
                os.dup2(output, 2)
                status = child(one["prepared"], task["broken"], task["release"])
                sys.stdout.flush()
            finally:
                os._exit(status)
        with contextlib.suppress(PermissionError):  # whichever of the two is first
            os.setpgid(process, process)
        # of the first three, none is killed, and the last two show how long each action takes
        lasts = results[1 if one["prepared"] else 2]["seconds"] if one["kill"] else 0
        results.append({"share": one["kill"], **end(process, one["kill"] and one["kill"] * lasts)})
        mark(f"end-{number}")
        if results[-1]["status"]:  # else what it did is to last without any help
            flush()
        mark(f"synced-{number}")
    run("umount", str(ROOT / "boot"))
    run("dmsetup", "remove", "--noudevsync", DEVICE)
    (directory / "result.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
