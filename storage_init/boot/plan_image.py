# SPDX-License-Identifier: MIT
"""The steps of an attempt with an image: the current one, or the previous one."""

from storage_init.boot.images import BoundImage, OtherImage
from storage_init.boot.step import (
    BOOT,
    IMAGE,
    INITS,
    NEW,
    OVERLAY,
    PREVIOUS,
    SYSTEMD_INITS,
)
from storage_init.boot.steps.attach import AttachDevice, AttachImage, CheckRelease
from storage_init.boot.steps.devices import FindDevice, ScanScsi, WarnOfOthers
from storage_init.boot.steps.leave import Detach, ExecInit, SwitchRoot, WriteReport
from storage_init.boot.steps.locate import LocateImage, MountBoot
from storage_init.boot.steps.modules import LoadAhead, LoadHashes
from storage_init.boot.steps.system import ChooseInit, MountOverlay, ReadInit
from storage_init.config.boot_settings import MOUNT_ALWAYS, MOUNT_AUTO, SYSTEMD
from storage_init.config.settings import REQUIRE
from storage_init.config.values import ITSELF
from storage_init.formats import ext4
from storage_init.kernel.failure import BootFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    from storage_init.boot.images import Choice
    from storage_init.boot.step import Step
    from storage_init.config.settings import Settings
    from storage_init.formats.binding import Identity, Verity


def steps(
    settings: "Settings",
    release: str,
    name: str,
    mode: str,
    binding: "Optional[Identity]",
    writable_root: str = "",
) -> "List[Step]":
    """Return the steps of the attempt of this name, image or previous.

    binding: the image that this mini-initramfs belongs to. writable_root: see
    root.writable_reference. Raises BootFailure, saying why, if the settings rule the attempt out.
    """
    if not settings.bootfs:
        raise BootFailure(
            "no boot filesystem is configured: set bootfs in /etc/initoverlayfs.conf"
            " or rd.initoverlayfs.bootfs=UUID=... on the kernel command line"
        )
    verity = None
    if binding and name == "image" and settings.verity != "off":
        verity = binding.verity
    if settings.verity == REQUIRE and verity is None:
        raise BootFailure("verity require: this mini-initramfs has no root hash to verify by")
    image: List[Step]
    if settings.fs == ITSELF:
        uuid = binding.uuid if binding else ""
        fstype = settings.fstype or settings.bootfstype
        image = [AttachDevice(uuid, fstype, verity, settings.verity_corruption)]
    else:
        choice = _choice(settings.fs.replace("%v", release), name, binding)
        image = _locate(settings, choice, verity is not None, writable_root)
        image.append(AttachImage(settings.fstype, verity, settings.verity_corruption))
    image.append(CheckRelease(release))
    # Reading the files costs little, and only dm-verity tells corrupted blocks from others.
    needs = binding.needs if binding and verity else ()
    # Another device may hold the bound image. A person at a prompt chooses the device.
    each = name == "image" and binding is not None and not settings.stop
    if mode == SYSTEMD:  # udev and the kernel have kmod load modules, and systemd switches root
        return _assemble(settings, image, SYSTEMD_INITS, needs, each)
    ahead: List[Step] = [LoadHashes(verity is not None), _load_ahead(settings, verity)]
    rest = _assemble(settings, image, INITS, needs, each)
    return ahead + rest + [SwitchRoot(), ExecInit()]


def _load_ahead(settings: "Settings", verity: "Optional[Verity]") -> LoadAhead:
    fstype = settings.fstype
    if not fstype or "," in fstype:  # the driver of a detected type is loaded when it is known
        fstype = "erofs"
    chains = [[fstype, "overlay"]]
    if verity:
        chains.append(["dm_verity"] if settings.fs == ITSELF else ["dm_verity", "loop"])
    if settings.bootfstype and "," not in settings.bootfstype and settings.fs != ITSELF:
        if settings.bootfstype != ext4.TYPE or not _may_stay_unmounted(settings):
            chains.insert(0, [settings.bootfstype])
        elif not verity:
            chains.insert(0, ["loop"])
    return LoadAhead(chains)


def _assemble(
    settings: "Settings",
    image: "List[Step]",
    inits: "Tuple[str, ...]",
    needs: "Tuple[str, ...]",
    each: bool,
) -> "List[Step]":
    """Return the steps from nothing to a new root that holds on to nothing but itself."""
    mounted: Tuple[str, ...] = (OVERLAY, IMAGE)
    if settings.fs != ITSELF and settings.bootfs_mount == MOUNT_ALWAYS:
        mounted += (BOOT,)
    find = FindDevice(
        "boot filesystem", settings.bootfs, settings.timeout, settings.bootfs_hint, each
    )
    return (
        scan_scsi(settings)
        + [find]
        + image
        + [
            MountOverlay(settings.overlay),
            WarnOfOthers(settings.bootfs),
            ChooseInit(inits),
            ReadInit(needs),
            Detach(mounted),
            WriteReport(),
        ]
    )


def scan_scsi(settings: "Settings") -> "List[Step]":
    """Return the step that scans the configured SCSI address, if there is one."""
    return [ScanScsi(settings.scsi_addr)] if settings.scsi_addr else []


def _locate(
    settings: "Settings", choice: "Choice", verified: bool, writable_root: str
) -> "List[Step]":
    stay = settings.bootfs_mount == MOUNT_ALWAYS
    root = writable_root if stay else ""
    mount = MountBoot(settings.bootfstype, settings.bootflags, verified, root)
    if settings.stop:  # whoever stops a boot to look around expects to find it mounted
        return [mount, LocateImage(choice, False, None, stay)]
    return [LocateImage(choice, _may_stay_unmounted(settings), mount, stay)]


def _may_stay_unmounted(settings: "Settings") -> bool:
    """Return whether the image may be located without mounting the boot filesystem."""
    types = settings.bootfstype.split(",") if settings.bootfstype else [ext4.TYPE]
    return ext4.TYPE in types and settings.bootfs_mount == MOUNT_AUTO and not settings.stop


def _choice(path: str, name: str, binding: "Optional[Identity]") -> "Choice":
    if name == "previous":
        paths: Tuple[str, ...] = (path + PREVIOUS, path) if binding else (path + PREVIOUS,)
        return OtherImage(paths, binding)
    return BoundImage((path, path + NEW, path + PREVIOUS) if binding else (path,), binding)
