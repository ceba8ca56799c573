# SPDX-License-Identifier: MIT
"""Report how the guest booted as a line of JSON on ttyS1, and power it off.

Runs in the guest after multi-user.target. The report has the times of the boot's events, and the
leftovers of stages 1 and 2. Unmounts /boot, checks it, and mounts it again.
"""

import glob
import json
import os
import re
import subprocess

MARKER = "initoverlayfs-report "
MARKS = {
    "t_run_init": "Run /init as init process",
    "t_stage2_exec": "initoverlayfs: exec ",
}


def output(*argv: str) -> str:
    """Run a command and return its output, errors included. Raises RuntimeError if it fails."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError("{}: status {}: {}".format(" ".join(argv), done.returncode, done.stdout))
    return done.stdout.strip()


def text(path: str) -> str:
    """Return the content of a file."""
    with open(path, errors="replace") as file:
        return file.read()


def kernel_log() -> list[tuple[float, str]]:
    """Return the kernel's log: pairs of seconds since its start and text.

    Does not use the journal, because journald gives messages from before its start the time at
    which it read them.
    """
    lines: list[tuple[float, str]] = []
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            try:
                record = os.read(descriptor, 8192).decode(errors="replace")
            except BlockingIOError:
                return lines
            except BrokenPipeError:  # the next record was overwritten before it was read
                continue
            # Documentation/ABI/testing/dev-kmsg: "priority,sequence,microseconds,flags;text"
            fields, _, text = record.partition(";")
            lines.append((int(fields.split(",")[2]) / 1e6, text.split("\n")[0]))
    finally:
        os.close(descriptor)


def marks(log: list[tuple[float, str]]) -> dict[str, float]:
    """Return event -> seconds since the kernel's start, for those events that happened."""
    found = {}
    for name, start in MARKS.items():
        times = [seconds for seconds, text in log if text.startswith(start)]
        if times:
            found[name] = times[0]
    systemd = re.compile(r"systemd\[1\]: systemd \d+\S* .*running in system mode")
    times = [seconds for seconds, text in log if systemd.match(text)]
    names = ["t_first_systemd", "t_root_systemd"]
    if len(times) > 2:  # in the mini-initramfs, in stage 2, and on the root filesystem
        names.insert(1, "t_stage2_exec")
    for name, seconds in zip(names, times):
        found[name] = seconds
    reached = output(
        "systemctl", "show", "--value", "-p", "ActiveEnterTimestampMonotonic", "multi-user.target"
    )
    if int(reached):
        found["t_multi_user"] = int(reached) / 1e6
    return found


def leftovers() -> list[str]:
    """Return a line for each mount and device of stages 1 and 2 that still exists."""
    found = []
    for path in glob.glob("/sys/block/loop*/loop/backing_file"):
        found.append("loop device attached: {} {}".format(path.split("/")[3], text(path).strip()))
    for path in glob.glob("/sys/fs/erofs/*"):
        if os.path.basename(path) != "features":
            found.append("EROFS superblock: " + path)
    for path in glob.glob("/sys/block/dm-*"):
        found.append("device-mapper device: " + path)
    for line in text("/proc/self/mountinfo").splitlines():
        point = line.split()[4]
        kind, source = line.split(" - ")[1].split()[:2]
        if (
            kind in ("erofs", "overlay", "squashfs", "rootfs")
            or "initoverlayfs" in point + source
            or point.startswith("/stage1")
        ):
            found.append(f"mounted: {source} on {point} type {kind}")
    return found


def boot_filesystem() -> list[str]:
    """Return the faults of /boot: it must be mounted once, read-write, and pass fsck."""
    lines = [line.split() for line in text("/proc/mounts").splitlines()]
    mounts = [words for words in lines if words[1] == "/boot"]
    if len(mounts) != 1:
        return [f"/boot is mounted {len(mounts)} times"]
    device, _, _, options = mounts[0][:4]
    if "rw" not in options.split(","):
        return ["/boot is mounted " + options]
    elsewhere = [words[1] for words in lines if words[0] == device and words[1] != "/boot"]
    if elsewhere:
        return ["{} is also mounted on {}".format(device, " ".join(elsewhere))]
    try:
        output("umount", "/boot")
        output("fsck.ext4", "-n", "-f", device)
        output("mount", "/boot")
    except RuntimeError as error:
        return [str(error)]
    return []


def collect() -> dict[str, object]:
    """Return the report as an object for JSON."""
    journal = output("journalctl", "-b", "-o", "short-monotonic", "--no-pager")
    try:
        boot = json.loads(text("/run/initoverlayfs/boot.json"))
    except (OSError, ValueError) as error:
        boot = {"error": str(error)}
    return {
        "kernel": os.uname().release,
        "boot": boot,
        "marks": marks(kernel_log()),
        "leftovers": leftovers() + boot_filesystem(),
        "failed_units": output("systemctl", "--failed", "--plain", "--no-legend").splitlines(),
        "journal": [line for line in journal.splitlines() if "initoverlayfs" in line.lower()],
    }


def main() -> None:
    """Write the report, or the error that prevents it, and power off."""
    try:
        report = collect()
    except Exception as error:
        report = {"error": repr(error)}
    with open("/dev/ttyS1", "w") as port:
        port.write("\n" + MARKER + json.dumps(report) + "\n")
    subprocess.run(["systemctl", "poweroff", "--force"])


if __name__ == "__main__":
    main()
