# SPDX-License-Identifier: MIT
"""Mounting the boot filesystem, the image and the overlay."""

from storage_init.kernel.abi import (
    EINVAL,
    ENOTBLK,
    EOPNOTSUPP,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_STRICTATIME,
)
from storage_init.kernel.calls import mount_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple

    from storage_init.devices.modprobe import Loader
    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.log import Log


# source, target, type, flags, data
API_MOUNTS = (
    ("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755"),
    ("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""),
    ("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""),
    ("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV | MS_STRICTATIME, "mode=0755,size=20%"),
)


def api_filesystems(kernel: "Kernel") -> None:
    """Mount /dev, /proc, /sys and /run, except where something is mounted already."""
    root = kernel.stat("/").device
    for source, target, fstype, flags, data in API_MOUNTS:
        kernel.mkdir(target)
        if kernel.stat(target).device == root:
            kernel.mount(source, target, fstype, flags, data)


def options(text: str, flags: int) -> "Tuple[int, str]":
    """Return mount options as flags, added to the given ones, and as the filesystem's own."""
    if not text:
        return flags, ""
    from storage_init.boot import mount_options  # importing it costs time, and few boots need it

    return mount_options.parse(text, flags)


def boot_filesystem(
    kernel: "Kernel", log: "Log", device: str, fstype: str, text: str, target: str
) -> None:
    """Mount the boot filesystem with these options, but always read-only."""
    flags, data = options(text, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount(kernel, log, device, fstype, flags, data, target)


def mount(
    kernel: "Kernel", log: "Log", device: str, fstype: str, flags: int, data: str, target: str
) -> None:
    """Mount a filesystem on a directory, which is created if missing, and log it."""
    kernel.mkdir(target)
    kernel.mount(device, target, fstype, flags, data)
    log.info(mount_text(device, target, fstype, flags, data))


def image(
    kernel: "Kernel", loader: "Loader", path: str, fstype: str, target: str
) -> "Tuple[str, str]":
    """Mount the image in a file: EROFS from the file itself if the kernel can, else by loop.

    Returns `file` or `loop`, and the same for people: `file-backed erofs`, `loop /dev/loop0 erofs`.
    Leaves nothing attached when it fails: the loop device clears itself with its last user.
    """
    kernel.mkdir(target)
    if fstype == "erofs":
        try:
            kernel.mount(path, target, fstype, MS_RDONLY)
            return "file", "file-backed " + fstype
        except OSError as error:
            # ENOTBLK: Linux before 6.12, or built without it. EINVAL: not on this filesystem.
            if error.errno not in (ENOTBLK, EINVAL, EOPNOTSUPP):
                raise
    loader.load("loop")
    device, fd = kernel.loop_attach(path)
    try:
        kernel.mount(device, target, fstype, MS_RDONLY)
    finally:
        kernel.close(fd)
    return "loop", "loop {} {}".format(device, fstype)


def device(kernel: "Kernel", path: str, fstype: str, target: str) -> None:
    """Mount an image that lies directly on a block device."""
    kernel.mkdir(target)
    kernel.mount(path, target, fstype, MS_RDONLY)


def overlay(
    kernel: "Kernel", log: "Log", lower: str, upper: str, options: str, target: str
) -> None:
    """Mount an overlay on `target`: a tmpfs, mounted on `upper`, over `lower`.

    options: of the tmpfs, such as its size limit.
    """
    kernel.mkdir(upper)
    kernel.mount("tmpfs", upper, "tmpfs", MS_NODEV, "mode=0755," + options)
    kernel.mkdir(upper + "/upper")
    kernel.mkdir(upper + "/work")
    kernel.mkdir(target)
    data = "lowerdir={},upperdir={}/upper,workdir={}/work".format(lower, upper, upper)
    try:
        # volatile (Linux 5.10) omits syncs, which an upper layer in memory does not need.
        kernel.mount("overlay", target, "overlay", 0, data + ",volatile")
        data += ",volatile"
    except OSError as error:
        if error.errno != EINVAL:
            raise
        kernel.mount("overlay", target, "overlay", 0, data)
    log.info(mount_text("overlay", target, "overlay", 0, data))
