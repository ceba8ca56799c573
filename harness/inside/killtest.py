# SPDX-License-Identifier: MIT
"""Install pairs on a disk and roll back, kill some of these runs, and log all writes.

Runs in user-mode Linux. /dev/ubda is the disk, and dm-log-writes logs its writes to /dev/ubdb. The
argument is a directory: task.json in it lists the runs, and result.json gets the duration and the
exit status of each. initoverlayfs-install is the real one, except that it takes prepared files
instead of building them.
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
    """Write a mark to the log."""
    run("dmsetup", "message", DEVICE, "0", "mark", text)


def flush() -> None:
    """Flush all writes to the disk: dm-log-writes logs a write only at the next flush."""
    os.sync()
    disk = os.open("/dev/dm-0", os.O_RDONLY)
    os.fsync(disk)
    os.close(disk)


def prepare(task: dict[str, Any]) -> None:
    """Make a system in ROOT and mount the boot filesystem in it, with its writes logged."""
    table = f"0 {task['sectors']} log-writes /dev/ubda /dev/ubdb"
    run("dmsetup", "create", DEVICE, "--noudevsync", "--table", table)
    for name in ("boot", "etc", "var/cache", f"usr/lib/modules/{task['release']}"):
        (ROOT / name).mkdir(parents=True)
    run("mount", "-t", task["fstype"], "/dev/dm-0", str(ROOT / "boot"))
    (ROOT / "etc/debian_version").write_text("13\n")
    (ROOT / "etc/fstab").write_text(f"UUID={task['uuid']} /boot {task['fstype']} defaults 0 2\n")
    (ROOT / "usr/lib/modules" / task["release"] / "modules.dep").touch()


def overwrite(files: dict[Path, bytes]) -> None:
    """Write files in place, with a sync after each 64 KiB."""
    for path, content in files.items():
        with path.open("wb") as new:
            for at in range(0, len(content), 1 << 16):
                new.write(content[at : at + (1 << 16)])
                os.fsync(new.fileno())


def install_in_place(places: Places, mini: Path, image: Path) -> None:
    """Install a pair by overwriting the current one: a fault that the kill test must detect."""
    if places.image.exists():
        shutil.copy(places.image, places.previous)
        shutil.copy(places.initramfs, places.previous_initramfs)
    overwrite({places.image: image.read_bytes(), places.initramfs: mini.read_bytes()})


def rollback_in_place(places: Places) -> None:
    """Exchange both pairs by overwriting them: a fault that the kill test must detect."""
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
    """Run initoverlayfs-install and return its exit status.

    prepared: directory of the pair to install, None for a rollback. broken: write in place. Changes
    modules for good, so it requires a process of its own.
    """

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
    action = "--rollback" if prepared is None else "-f"
    return program.main(["--root", str(ROOT), action, "--kver", release])


def end(process: int, after: Any) -> dict[str, Any]:
    """Wait for a process; kill its group after that many seconds, never if None.

    Returns its duration in seconds and its exit status, negative for a signal.
    """
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
    """Do the runs of the task one after the other, with marks between them in the log."""
    task = json.loads((directory / "task.json").read_text())
    prepare(task)
    results: list[dict[str, Any]] = []
    for number, wanted in enumerate(task["runs"]):
        mark(f"start-{number}")
        process = os.fork()
        if process == 0:
            status = 99
            try:
                os.setpgid(0, 0)
                output = os.open(directory / f"output-{number}", os.O_WRONLY | os.O_CREAT)
                os.dup2(output, 1)
                os.dup2(output, 2)
                status = child(wanted["prepared"], task["broken"], task["release"])
                sys.stdout.flush()
            finally:
                os._exit(status)
        with contextlib.suppress(PermissionError):  # the child may have called it first
            os.setpgid(process, process)
        # The first three runs are not killed. The last two of them show how long an installation
        # and a rollback take.
        share = wanted["kill"]
        seconds = results[1 if wanted["prepared"] else 2]["seconds"] if share else 0
        results.append({"share": share, **end(process, share and share * seconds)})
        mark(f"end-{number}")
        if results[-1]["status"]:  # a run that succeeds must have flushed its writes itself
            flush()
        mark(f"synced-{number}")
    run("umount", str(ROOT / "boot"))
    run("dmsetup", "remove", "--noudevsync", DEVICE)
    (directory / "result.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
