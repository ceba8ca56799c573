# SPDX-License-Identifier: MIT
"""What a boot will do, decided before anything is done."""

from collections import namedtuple

from storage_init.abi import EINVAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

    from storage_init.settings import Settings

# A step names a method of steps.Boot and its arguments, and describes itself.
Step = namedtuple("Step", ("action", "arguments", "text"))
Attempt = namedtuple("Attempt", ("name", "steps"))

NEW_ROOT = "/initoverlayfs"
BOOT = "/stage1/boot"
IMAGE = "/stage1/image"
OVERLAY = "/stage1/overlay"

REPORT = "/run/initoverlayfs/boot.json"

# Where an attempt mounts something, the latest first.
MOUNTS = (NEW_ROOT, OVERLAY, IMAGE, BOOT)

# What stage 2 may call its first process: dracut's name, then those of a plain root. In systemd
# mode it is pre-initoverlayfs-switch-root.service that names it.
INITS = ("/init", "/sbin/init", "/usr/lib/systemd/systemd")
SYSTEMD_INITS = ("/init",)

# As the first process, or as a service of a mini-initramfs with systemd in it.
INIT = "init"
SYSTEMD = "systemd"


def make(settings: "Settings", release: str, mode: str) -> "List[Attempt]":
    """The attempts of a boot in their order, for a kernel of this release, in INIT or SYSTEMD mode.

    Pure. Raises OSError(EINVAL) where the settings lead nowhere, saying which one to set.
    """
    if not settings.bootfs:
        raise OSError(
            EINVAL,
            "no boot filesystem is configured: set bootfs in /etc/initoverlayfs.conf"
            " or rd.initoverlayfs.bootfs=UUID=... on the kernel command line",
        )
    if mode == SYSTEMD:
        # udev and the kernel have kmod load modules, and switching root is PID 1's to do.
        return [Attempt("image", _assemble(settings, release, SYSTEMD_INITS))]
    steps = [_load_ahead(settings)] + _assemble(settings, release, INITS) + _leave()
    return [Attempt("image", steps)]


def _load_ahead(settings: "Settings") -> Step:
    ahead = [[settings.fstype or "erofs", "overlay"]]
    if settings.bootfstype:
        ahead.insert(0, [settings.bootfstype])
    chains = " and ".join([" ".join(chain) for chain in ahead])
    return Step(
        "load_ahead", (ahead,), "load modules " + chains + ", side by side with what follows"
    )


def _assemble(settings: "Settings", release: str, inits: "Tuple[str, ...]") -> "List[Step]":
    """From nothing to a new root that holds on to nothing but itself."""
    path = settings.fs.replace("%v", release)
    options = ",".join(["ro"] + ([settings.bootflags] if settings.bootflags else []))
    return [
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
        Step("choose_init", (NEW_ROOT, inits), "choose its init of " + " ".join(inits)),
        Step(
            "detach",
            ((OVERLAY, IMAGE, BOOT),),
            "detach {} {} {}".format(OVERLAY, IMAGE, BOOT),
        ),
        Step("report", (REPORT,), "write " + REPORT),
    ]


def _leave() -> "List[Step]":
    return [
        Step(
            "switch_root",
            (NEW_ROOT,),
            "move /dev /proc /sys /run, switch root to {}, delete the old initramfs".format(
                NEW_ROOT
            ),
        ),
        Step("exec_init", (), "exec the init with the kernel's arguments"),
    ]


def describe(attempts: "List[Attempt]") -> "List[str]":
    """The plan for people: a line an attempt, an indented line a step."""
    lines = []
    for attempt in attempts:
        lines.append("attempt " + attempt.name + ":")
        for step in attempt.steps:
            lines.append("  " + step.text)
    return lines
