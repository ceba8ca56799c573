# SPDX-License-Identifier: MIT
"""Refuse to install on a machine that could not boot from the images."""

import os
from typing import Optional

from initoverlayfs.errors import Failure
from initoverlayfs.machine import kernels, storage
from initoverlayfs.machine.bootfs import BootFilesystem
from initoverlayfs.target import Target

# Offset of s_journal_dev on the device, in bytes: Documentation/filesystems/ext4/globals.rst.
_JOURNAL_DEVICE = 1024 + 0xE4


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
    return _modules(target, release, storage.drivers(stack))


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
