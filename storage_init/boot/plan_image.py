# SPDX-License-Identifier: MIT
"""The steps of an attempt by an image: this one, or the one before it."""

from storage_init.boot.step import (
    BOOT,
    IMAGE,
    INITS,
    NEW,
    NEW_ROOT,
    OVERLAY,
    PREVIOUS,
    SYSTEMD_INITS,
    Step,
    choose_init,
    compare,
    find,
    leave,
    load_hashes,
    read_init,
    report,
    scan_scsi,
)
from storage_init.config.boot_settings import MOUNT_AUTO, SYSTEMD
from storage_init.config.settings import REQUIRE
from storage_init.config.values import ITSELF
from storage_init.formats import ext4
from storage_init.kernel.abi import EINVAL, EPERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    from storage_init.config.settings import Settings
    from storage_init.formats.binding import Identity, Verity


def steps(
    settings: "Settings",
    release: str,
    name: str,
    mode: str,
    own: "Optional[Identity]",
    writable_root: str = "",
) -> "List[Step]":
    """For the attempt of this name, image or previous; own: the image that belongs to this stage 1.

    writable_root: see root.writable_reference. Raises OSError, saying why, where the settings rule
    it out.
    """
    if not settings.bootfs:
        raise OSError(
            EINVAL,
            "no boot filesystem is configured: set bootfs in /etc/initoverlayfs.conf"
            " or rd.initoverlayfs.bootfs=UUID=... on the kernel command line",
        )
    verity = own.verity if own and name == "image" and settings.verity != "off" else None
    if settings.verity == REQUIRE and verity is None:
        raise OSError(EPERM, "verity require: this mini-initramfs has no root hash to verify by")
    if settings.fs == ITSELF:
        image = [_attach_device(settings, own, verity)]
    else:
        image = _image_in_file(settings, release, name, own, verity, writable_root)
    image.append(_check_release(release))
    # Reading them costs a little, and it is dm-verity that tells what is wrong from what is not.
    needs = own.needs if own and verity else ()
    if mode == SYSTEMD:  # udev and the kernel have kmod load modules
        return _assemble(settings, image, SYSTEMD_INITS, needs)
    ahead = [load_hashes(verity is not None), _load_ahead(settings, verity)]
    return ahead + _assemble(settings, image, INITS, needs) + leave()


def _load_ahead(settings: "Settings", verity: "Optional[Verity]") -> Step:
    ahead = [[settings.fstype or "erofs", "overlay"]]
    if verity:
        ahead.append(["dm_verity"] if settings.fs == ITSELF else ["dm_verity", "loop"])
    if settings.bootfstype and settings.fs != ITSELF:
        if settings.bootfstype != ext4.TYPE or not _seeks(settings):
            ahead.insert(0, [settings.bootfstype])
        elif not verity:
            ahead.insert(0, ["loop"])
    chains = " and ".join([" ".join(chain) for chain in ahead])
    return Step(
        "load_ahead", (ahead,), "load modules " + chains + ", side by side with what follows"
    )


def _assemble(
    settings: "Settings",
    image: "List[Step]",
    inits: "Tuple[str, ...]",
    needs: "Tuple[str, ...]",
) -> "List[Step]":
    """From nothing to a new root that holds on to nothing but itself."""
    device = find(settings.bootfs, settings.timeout, settings.bootfs_hint, "boot filesystem")
    mounted: Tuple[str, ...] = (OVERLAY, IMAGE)
    if settings.fs != ITSELF:
        mounted += (BOOT,)
    return (
        scan_scsi(settings)
        + [device]
        + image
        + [
            Step(
                "overlay",
                (IMAGE, OVERLAY, settings.overlay, NEW_ROOT),
                "stack a tmpfs overlay ({}) on it at {}".format(settings.overlay, NEW_ROOT),
            ),
            compare(settings.bootfs),
            choose_init(inits),
            read_init(needs),
            Step("detach", (mounted,), "detach " + " ".join(mounted)),
            report(),
        ]
    )


def _attach_device(
    settings: "Settings",
    own: "Optional[Identity]",
    verity: "Optional[Verity]",
) -> Step:
    fstype = settings.fstype or settings.bootfstype
    uuid = own.uuid if own else ""
    text = "attach it, which has to be {},".format(uuid) if uuid else "attach it"
    return Step(
        "attach_device",
        (fstype, uuid, verity, settings.verity_corruption, IMAGE),
        "{} as the image on {} type {}{}".format(
            text, IMAGE, fstype or "(detected)", _verified(settings, verity)
        ),
    )


def _image_in_file(
    settings: "Settings",
    release: str,
    name: str,
    own: "Optional[Identity]",
    verity: "Optional[Verity]",
    writable_root: str,
) -> "List[Step]":
    path = settings.fs.replace("%v", release)
    options = ",".join(["ro"] + ([settings.bootflags] if settings.bootflags else []))
    text = "attach it on {} type {}, ".format(IMAGE, settings.fstype or "(detected)")
    text += "by loop" + _verified(settings, verity) if verity else "from the file or else by loop"
    choose = _choose(path, name, own)
    return ([_seek(choose)] if _seeks(settings) else []) + [
        Step(
            "mount_boot",
            (settings.bootfstype, settings.bootflags, BOOT, writable_root),
            "mount it on {} type {} {}".format(BOOT, settings.bootfstype or "(detected)", options),
        ),
        choose,
        Step("attach", (BOOT, settings.fstype, verity, settings.verity_corruption, IMAGE), text),
    ]


def _seeks(settings: "Settings") -> bool:
    """Whether the image may be found without mounting the boot filesystem.

    Whoever stops a boot to look around wants to find that mounted.
    """
    known = settings.bootfstype in ("", ext4.TYPE)
    return known and settings.bootfs_mount == MOUNT_AUTO and not settings.stop


def _seek(choose: Step) -> Step:
    _, names, other, own = choose.arguments
    text = "if it is {} whose driver is not loaded, skip the next two steps where it can be read"
    text += " without: " + choose.text
    return Step("seek_image", (names, other, own), text.format(ext4.TYPE))


def _choose(path: str, name: str, own: "Optional[Identity]") -> Step:
    names: Tuple[str, ...] = (path,)
    if name == "previous":
        names = (path + PREVIOUS, path) if own else (path + PREVIOUS,)
        text = "take the image " + " or ".join(names)
        text += ", which has to be another one"
        return Step("choose_image", (BOOT, names, True, own), text)
    if own is None:
        return Step("choose_image", (BOOT, names, False, own), "take the image " + path)
    names += (path + NEW, path + PREVIOUS)
    text = "take of {} the image {}".format(" ".join(names), own.uuid)
    return Step("choose_image", (BOOT, names, False, own), text)


def _verified(settings: "Settings", verity: "Optional[Verity]") -> str:
    if verity is None:
        return ""
    text = ", verified by root hash {} (a wrong block: {})"
    return text.format(verity.root_hash, settings.verity_corruption)


def _check_release(release: str) -> Step:
    text = "check that it has modules for Linux {}, if it has any".format(release)
    return Step("check_release", (IMAGE, release), text)
