# SPDX-License-Identifier: MIT
"""Refuse to install on a machine that could not boot from the images."""

import os
from pathlib import Path
from typing import Optional

from initoverlayfs.errors import Failure
from initoverlayfs.machine import kernels, storage
from initoverlayfs.machine.bootfs import BootFilesystem
from initoverlayfs.target import Target
from storage_init.config import cmdline, root
from storage_init.formats import ext4

# Offset of s_journal_dev on the device, in bytes: Documentation/filesystems/ext4/globals.rst.
_JOURNAL_DEVICE = 1024 + 0xE4

_COMMAND_LINE = Path("/proc/cmdline")
_PROC_ROOT = Path("/proc/1/root")


def require(target: Target, release: str, boot: BootFilesystem) -> list[str]:
    """Return the kernel's modules that are drivers between the boot filesystem and its bus, sorted.

    Raises Failure, and names the layer, if the images could not boot this machine. Returns an empty
    list if no mount of the boot filesystem is visible: with --root, or in a chroot of files alone.
    Changes nothing.
    """
    if not boot.device:
        return []
    stack = storage.without_backing(storage.layers(target, boot.device))
    reason = storage.obstacle(stack) or _journal(boot)
    if reason:
        raise Failure(
            f"/boot is on {boot.device}, which storage-init cannot reach: {reason}. Nothing"
            " was changed. initoverlayfs needs /boot on a partition of a local disk"
        )
    if not _is_chroot():
        _require_unshared(target, release, boot)
    return _modules(target, release, storage.drivers(stack))


def _is_chroot() -> bool:
    try:
        return not os.path.samefile(_PROC_ROOT, "/")
    except OSError:
        return True  # no /proc, or no permission to look at PID 1's root


def _journal(boot: BootFilesystem) -> Optional[str]:
    """Return why the journal is out of reach, or None, also if the device cannot be read."""
    if boot.fstype not in ("ext3", "ext4"):
        return None
    try:
        with open(boot.device, "rb") as file:
            number = os.pread(file.fileno(), 4, _JOURNAL_DEVICE)
    except OSError:  # in a container
        return None
    return "an ext4 with its journal on another device" if any(number) else None


def _require_unshared(target: Target, release: str, boot: BootFilesystem) -> None:
    """Raise Failure if the image's mount would prevent the mount of the root filesystem.

    The kernel cannot mount a filesystem read-only and read-write at once, except btrfs.
    storage-init reads an ext4, but no ext2 or ext3, without mounting it, unless its driver is built
    into the kernel.
    """
    words, _ = cmdline.split(_COMMAND_LINE.read_text(errors="replace"))
    if not boot.with_root or boot.fstype == "btrfs" or not root.is_writable(words):
        return
    if boot.fstype == ext4.TYPE and ext4.TYPE not in kernels.built_in(target, release):
        return
    raise Failure(
        f"/boot is on the root filesystem ({boot.fstype}), which the kernel command line mounts"
        " read-write (rw): storage-init mounts it read-only for the image, and the kernel cannot do"
        " both. Nothing was changed. Replace rw by ro on the kernel command line, or move /boot to"
        " its own partition"
    )


def _modules(target: Target, release: str, drivers: list[str]) -> list[str]:
    """Return the drivers that this kernel has as modules. Raises Failure if it lacks one.

    A driver in neither of the kernel's lists cannot be a module, so it is built in. The exception
    is one that the running kernel has loaded as a module: this kernel lacks it.
    """
    present, built_in = kernels.modules(target, release), kernels.built_in(target, release)
    for name in drivers:
        if name not in present | built_in and storage.is_loadable(name):
            raise Failure(
                f"Linux {release} has no driver {name}, which this machine requires to reach /boot."
                f" Nothing was changed. Install it, run `depmod {release}`, and try again"
            )
    return [name for name in drivers if name in present]
