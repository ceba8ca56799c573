# SPDX-License-Identifier: MIT
"""What a boot will do, decided before anything is done."""

from collections import namedtuple

from storage_init.abi import EINVAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from storage_init.settings import Settings

# A step names a method of steps.Boot and its arguments, and describes itself.
Step = namedtuple("Step", ("action", "arguments", "text"))
Attempt = namedtuple("Attempt", ("name", "steps"))

NEW_ROOT = "/initoverlayfs"
BOOT = "/stage1/boot"
IMAGE = "/stage1/image"
OVERLAY = "/stage1/overlay"

# What stage 2 may call its first process: dracut's name, then those of a plain root.
INITS = ("/init", "/sbin/init", "/usr/lib/systemd/systemd")


def make(settings: "Settings", release: str) -> "List[Attempt]":
    """The attempts of a boot in their order, for a kernel of this release.

    Pure. Raises OSError(EINVAL) where the settings lead nowhere, saying which one to set.
    """
    if not settings.bootfs:
        raise OSError(
            EINVAL,
            "no boot filesystem is configured: set bootfs in /etc/initoverlayfs.conf"
            " or rd.initoverlayfs.bootfs=UUID=... on the kernel command line",
        )
    return [_image_attempt(settings, release)]


def _image_attempt(settings: "Settings", release: str) -> Attempt:
    path = settings.fs.replace("%v", release)
    ahead = [[settings.fstype or "erofs", "overlay"]]
    if settings.bootfstype:
        ahead.insert(0, [settings.bootfstype])
    chains = " and ".join([" ".join(chain) for chain in ahead])
    options = ",".join(["ro"] + ([settings.bootflags] if settings.bootflags else []))
    steps = [
        Step("load_ahead", (ahead,), "load modules " + chains + ", side by side with what follows"),
        Step(
            "find",
            (settings.bootfs, settings.timeout, settings.bootfs_hint),
            "wait up to {} s for {}".format(settings.timeout, settings.bootfs),
        ),
        Step(
            "mount_boot",
            (settings.bootfstype, settings.bootflags, BOOT),
            "mount it on {} type {} {}".format(BOOT, settings.bootfstype or "(detected)", options),
        ),
        Step(
            "attach",
            (BOOT, path, settings.fstype, IMAGE),
            "attach image {} on {} type {}, from the file or else by loop".format(
                path, IMAGE, settings.fstype or "(detected)"
            ),
        ),
        Step(
            "overlay",
            (IMAGE, OVERLAY, settings.overlay, NEW_ROOT),
            "stack a tmpfs overlay ({}) on it at {}".format(settings.overlay, NEW_ROOT),
        ),
        Step("choose_init", (NEW_ROOT, INITS), "choose its init of " + " ".join(INITS)),
        Step(
            "detach",
            ((OVERLAY, IMAGE, BOOT),),
            "detach {} {} {}".format(OVERLAY, IMAGE, BOOT),
        ),
        Step(
            "switch_root",
            (NEW_ROOT,),
            "move /dev /proc /sys /run, switch root to {}, delete the old initramfs".format(
                NEW_ROOT
            ),
        ),
        Step("exec_init", (), "exec the init with the kernel's arguments"),
    ]
    return Attempt("image", steps)


def describe(attempts: "List[Attempt]") -> "List[str]":
    """The plan for people: a line an attempt, an indented line a step."""
    lines = []
    for attempt in attempts:
        lines.append("attempt " + attempt.name + ":")
        for step in attempt.steps:
            lines.append("  " + step.text)
    return lines
