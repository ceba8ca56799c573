# SPDX-License-Identifier: MIT
"""List the build settings: keys of initoverlayfs.conf that only initoverlayfs-install reads."""

from storage_init.config import values
from storage_init.config.boot_settings import BOOT_SETTINGS, FLAG, file_only
from storage_init.config.settings import Settings

# Interpreters of storage-init in the mini-initramfs.
MICROPYTHON = "micropython"
PYTHON3 = "python3"
RUNTIMES = (MICROPYTHON, PYTHON3)

BUILD_SETTINGS = (
    file_only(
        "hash_tree",
        values.flag,
        FLAG,
        False,
        "build the image with a dm-verity hash tree; verity require implies it",
    ),
    file_only(
        "verity_key",
        values.file,
        "a path that starts with /",
        "",
        "private key (PEM) that signs the root hash of the hash tree, so that the kernel can check"
        " it; like verity_cert, a file of the system that runs initoverlayfs-install, and not"
        " copied into any image",
    ),
    file_only(
        "verity_cert",
        values.file,
        "a path that starts with /",
        "",
        "certificate (PEM) of verity_key, which the kernel must trust: it is built into the kernel,"
        " in the UEFI variable db, or enrolled by shim (MokList)",
    ),
    file_only(
        "runtime",
        values.one_of(*RUNTIMES),
        f"{MICROPYTHON} or {PYTHON3}",
        MICROPYTHON,
        "interpreter of storage-init: MicroPython, or in systemd mode the system's CPython",
    ),
    file_only(
        "hostonly",
        values.one_of("auto", "yes", "no"),
        "auto, yes or no",
        "auto",
        "yes: include only the drivers of this machine in the images; no: include all drivers;"
        " auto: follow dracut.conf",
    ),
    file_only(
        "initoverlayfs_builder",
        values.anything,
        "a command line",
        "dracut",
        "command that builds the content of the image: dracut, with options if required",
    ),
    file_only(
        "initrd_builder",
        values.anything,
        "a command line",
        "dracut",
        "command that builds the mini-initramfs: dracut, with options if required",
    ),
    file_only(
        "erofs_compression",
        values.compression,
        "a compressor as for mkfs.erofs -z, or none",
        "lz4hc,6",  # on a Debian image, level 12 saves 1.3 % and needs 17 times as long
        "compression of the image",
    ),
)


class InstallSettings(Settings):
    """Hold the boot settings and the build settings of initoverlayfs.conf."""

    table = BOOT_SETTINGS + BUILD_SETTINGS

    hash_tree: bool
    verity_key: str
    verity_cert: str
    runtime: str
    hostonly: str
    initoverlayfs_builder: str
    initrd_builder: str
    erofs_compression: str
