# SPDX-License-Identifier: MIT
"""What a boot will do, decided before anything is done."""

from collections import namedtuple

from storage_init.abi import EINVAL
from storage_init.settings import ITSELF, SYSTEMD

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
    if settings.bootfstype and settings.fs != ITSELF:
        ahead.insert(0, [settings.bootfstype])
    chains = " and ".join([" ".join(chain) for chain in ahead])
    return Step(
        "load_ahead", (ahead,), "load modules " + chains + ", side by side with what follows"
    )


def _assemble(settings: "Settings", release: str, inits: "Tuple[str, ...]") -> "List[Step]":
    """From nothing to a new root that holds on to nothing but itself."""
    find = Step(
        "find",
        (settings.bootfs, settings.timeout, settings.bootfs_hint),
        "wait up to {} s for {}".format(settings.timeout, settings.bootfs),
    )
    if settings.fs == ITSELF:
        mounted: Tuple[str, ...] = (OVERLAY, IMAGE)
        image = [_image_itself(settings)]
    else:
        mounted = (OVERLAY, IMAGE, BOOT)
        image = _image_in_file(settings, settings.fs.replace("%v", release))
    return (
        _scan_scsi(settings)
        + [find]
        + image
        + [
            Step(
                "overlay",
                (IMAGE, OVERLAY, settings.overlay, NEW_ROOT),
                "stack a tmpfs overlay ({}) on it at {}".format(settings.overlay, NEW_ROOT),
            ),
            Step("choose_init", (NEW_ROOT, inits), "choose its init of " + " ".join(inits)),
            Step("detach", (mounted,), "detach " + " ".join(mounted)),
            Step("report", (REPORT,), "write " + REPORT),
        ]
    )


def _scan_scsi(settings: "Settings") -> "List[Step]":
    address = settings.scsi_addr
    text = "as soon as the SCSI host of {} is there, scan that address".format(address)
    return [Step("scan_scsi", (address,), text)] if address else []


def _image_itself(settings: "Settings") -> Step:
    fstype = settings.fstype or settings.bootfstype
    return Step(
        "attach_device",
        (fstype, IMAGE),
        "attach it as the image on {} type {}".format(IMAGE, fstype or "(detected)"),
    )


def _image_in_file(settings: "Settings", path: str) -> "List[Step]":
    options = ",".join(["ro"] + ([settings.bootflags] if settings.bootflags else []))
    return [
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
