# SPDX-License-Identifier: MIT
"""Build the image of stage 2: the content of a dracut initramfs, as an EROFS filesystem."""

import uuid
from pathlib import Path

from initoverlayfs.build import initramfs
from initoverlayfs.build.job import Job, wants_hash_tree
from initoverlayfs.digest import sha256
from initoverlayfs.errors import Failure
from initoverlayfs.machine.build_settings import InstallSettings
from storage_init.config.boot_settings import COLDPLUG_BLOCK

# Clusters of 64 KiB save 7 % of space, and suit files that are read from start to end. Linux 5.13
# and later reads them.
_CLUSTERS = "-C65536"

# Size in bytes of clusters of programs and shared objects. These are mapped, and read in scattered
# pages: most of a large cluster would be decompressed without being used.
_MAPPED_CLUSTER = 8192

# A file for --compress-hints: lines of a size, and an extended regular expression for paths.
_HINTS = "".join(
    f"{_MAPPED_CLUSTER} {pattern}\n"
    for pattern in (r"\.so(\.|$)", "(^|/)s?bin/", "(^|/)lib/(systemd|udev)/[^/]*$")
)

_UNPACK = """
    mkdir tree; cd tree
    for archive in ../stage2.cpio.*; do
        cpio --extract --quiet --make-directories --unconditional <"$archive"
        rm "$archive"
    done
"""

# Decompress kernel modules, since EROFS compresses them: compressed twice, they would take more
# space and more time to load.
_DECOMPRESS_MODULES = """
    python3 -I -m initoverlayfs.build.module_files tree/usr/lib/modules
    depmod -b tree "$1"
"""


def build(job: Job) -> Path:
    """Build the image, without a hash tree, and return its path. Leaves its content in work/tree.

    The image ID is derived from the content and from everything else that the image's bytes depend
    on, so two images with the same ID are the same. Raises Failure.
    """
    options = ["--no-compress", "--no-early-microcode", "--no-uefi"]
    if job.settings.coldplug == COLDPLUG_BLOCK:
        options += ["--add", "initoverlayfs-stage2"]
    job.run_dracut("initoverlayfs_builder", "stage2.cpio", *options)
    _unpack(job)
    identity = _identity(job)
    job.path("stage2.cpio").unlink()
    job.run_script(_DECOMPRESS_MODULES, job.release)
    _require_content(job)
    make_erofs(job, "image", "tree", identity)
    return job.path("image")


def _unpack(job: Job) -> None:
    """Unpack work/stage2.cpio into work/tree. Raises Failure.

    Skips early archives, such as one with ACPI tables (acpi_override in dracut.conf): the kernel
    reads these from the mini-initramfs only.
    """
    for number, (files, archive) in enumerate(initramfs.archives(job.path("stage2.cpio"))):
        if initramfs.EARLY not in files:
            job.path(f"stage2.cpio.{number:03}").write_bytes(archive)
    job.run_script(_UNPACK)


def _identity(job: Job) -> uuid.UUID:
    maker = job.target.find_command("mkfs.erofs")
    content = [sha256(job.path("stage2.cpio")), sha256(maker) if maker else ""]
    tree = "verity" if wants_hash_tree(job.settings) else ""
    content += [*compression_options(job.settings), _HINTS, tree]
    return uuid.uuid5(uuid.NAMESPACE_OID, " ".join(content))


def _require_content(job: Job) -> None:
    for name in ("init", "etc/initrd-release"):
        if not job.path("tree/" + name).is_symlink() and not job.path("tree/" + name).exists():
            raise Failure(
                f"dracut made a stage 2 without /{name}: its modules systemd and systemd-initrd are"
                " required, see omit_dracutmodules in dracut.conf"
            )


def compression_options(settings: InstallSettings) -> list[str]:
    """Return the options of mkfs.erofs for the configured compression."""
    chosen = settings.erofs_compression
    return [] if chosen == "none" else ["-z" + chosen, _CLUSTERS]


def make_erofs(job: Job, output: str, tree: str, identity: uuid.UUID) -> None:
    """Make the EROFS filesystem work/output from the directory work/tree. Raises Failure."""
    job.path("hints").write_text(_HINTS)
    options = [*compression_options(job.settings), f"--compress-hints={job.work}/hints"]
    options += ["-T0", f"-U{identity}", "--all-root"]
    job.target.run(["mkfs.erofs", *options, f"{job.work}/{output}", f"{job.work}/{tree}"])
