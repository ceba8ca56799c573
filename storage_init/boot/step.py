# SPDX-License-Identifier: MIT
"""A plan's parts: what a step is, the places that steps know, and the steps all attempts share."""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

    from storage_init.config.settings import Settings

# A step names a method of steps.Steps and its arguments, and describes itself.
Step = namedtuple("Step", ("action", "arguments", "text"))
Attempt = namedtuple("Attempt", ("name", "steps"))

NEW_ROOT = "/initoverlayfs"
BOOT = "/stage1/boot"
IMAGE = "/stage1/image"
OVERLAY = "/stage1/overlay"

REPORT = "/run/initoverlayfs/boot.json"

# Where an attempt mounts something, the latest first.
MOUNTS = (NEW_ROOT, OVERLAY, IMAGE, BOOT)

RESCUE = "rescue"

# Added to the name of an image while it is being published, and when a newer one takes its place.
NEW = ".new"
PREVIOUS = ".previous"

# What stage 2 may call its first process: dracut's name, then those of a plain root. In systemd
# mode it is pre-initoverlayfs-switch-root.service that names it.
INITS = ("/init", "/sbin/init", "/usr/lib/systemd/systemd")
SYSTEMD_INITS = ("/init",)


def load_hashes(verified: bool) -> Step:
    text = "load this CPU's way to hash, which other modules' signatures are checked with"
    return Step("load_hashes", (verified,), text)


def find(reference: str, timeout: int, hint: str, what: str) -> Step:
    text = "wait up to {} s for {}".format(timeout, reference)
    return Step("find", (reference, timeout, hint, what), text)


def compare(reference: str) -> Step:
    # This late, so that nothing waits for it, and devices that are probed side by side are there.
    return Step("compare", (reference,), "warn if another device is " + reference)


def choose_init(inits: "Tuple[str, ...]") -> Step:
    return Step("choose_init", (NEW_ROOT, inits), "choose its init of " + " ".join(inits))


def read_init(needs: "Tuple[str, ...]") -> Step:
    text = "read it and {} files that it needs, to see faults while there is another way"
    return Step("read_init", (NEW_ROOT, needs), text.format(len(needs)))


def report() -> Step:
    return Step("report", (REPORT,), "write " + REPORT)


def scan_scsi(settings: "Settings") -> "List[Step]":
    address = settings.scsi_addr
    text = "as soon as the SCSI host of {} is there, scan that address".format(address)
    return [Step("scan_scsi", (address,), text)] if address else []


def leave() -> "List[Step]":
    text = "move /dev /proc /sys /run, switch root to {}, delete the old initramfs"
    return [
        Step("switch_root", (NEW_ROOT,), text.format(NEW_ROOT)),
        Step("exec_init", (), "exec the init with the kernel's arguments"),
    ]
