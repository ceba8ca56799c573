# SPDX-License-Identifier: MIT
"""Check that the target has what a build requires, before anything is built."""

import uuid

from initoverlayfs.build import image
from initoverlayfs.build.job import Job, builder_words
from initoverlayfs.errors import Failure
from initoverlayfs.machine.build_settings import MICROPYTHON, PYTHON3, InstallSettings
from initoverlayfs.target import Target
from storage_init.config.settings import CONFIGURATION

# command -> Debian package
_COMMANDS = {
    "dracut": "dracut",
    "mkfs.erofs": "erofs-utils",
    "cpio": "cpio",
    "depmod": "kmod",
}
_OWN_FILES = ("/usr/lib/dracut/modules.d/90initoverlayfs", "/usr/bin/storage-init")
_LIST_MISSING = "/usr/lib/dracut/modules.d/92initoverlayfs-python3/needed.py"


def require_tools(target: Target) -> None:
    """Raise Failure if the target lacks a command or a file of ours that every build requires."""
    for command, package in _COMMANDS.items():
        if not target.has_command(command):
            raise Failure(
                f"command {command} not found in {target.root}: install the package {package} there"
            )
    for name in _OWN_FILES:
        _require_own_file(target, name)


def _require_own_file(target: Target, name: str) -> None:
    if not target.path(name).exists():
        raise Failure(f"{target.path(name)} not found: install initoverlayfs in {target.root}")


def require_builders(target: Target, settings: InstallSettings) -> None:
    """Raise Failure if the target lacks the command of a builder setting."""
    for builder in ("initrd_builder", "initoverlayfs_builder"):
        command = builder_words(settings, builder)[0]
        if not target.has_command(command):
            raise Failure(
                f"{CONFIGURATION}: {builder}: command {command} not found in {target.root}:"
                " install or correct it"
            )


def require_veritysetup(target: Target) -> None:
    """Raise Failure if the target lacks veritysetup, which builds the hash tree."""
    if not target.has_command("veritysetup"):
        raise Failure(
            f"command veritysetup not found in {target.root}, required for the hash tree: install"
            " the package cryptsetup-bin there (other distributions: veritysetup or cryptsetup)"
        )


def require_runtime(target: Target, mode: str, runtime: str) -> None:
    """Raise Failure if the mode or the target does not support the runtime of storage-init."""
    if runtime == MICROPYTHON:
        return
    if mode != "systemd":
        raise Failure(
            f"runtime {runtime} requires systemd in the mini-initramfs, but the mode is {mode}:"
            f" add --mode systemd, or --runtime {MICROPYTHON}"
        )
    _require_own_file(target, _LIST_MISSING)
    lines = target.run([PYTHON3, "-I", _LIST_MISSING, "--missing"]).splitlines()
    if lines:
        modules, packages = zip(*(line.split() for line in lines))
        raise Failure(
            f"runtime {runtime}: python3 in {target.root} lacks {', '.join(modules)}: install the"
            f" Debian packages {', '.join(packages)} or their equivalents there"
        )


def require_compressor(job: Job) -> None:
    """Raise Failure if mkfs.erofs fails with the configured compressor on an empty directory."""
    job.path("empty").mkdir()
    try:
        image.make_erofs(job, "empty.img", "empty", uuid.UUID(int=0))
    except Failure as failure:
        options = " ".join(image.compression_options(job.settings))
        raise Failure(
            f"mkfs.erofs fails with {options}: install erofs-utils 1.5 or later, built with this"
            f" compressor, or change erofs_compression in {CONFIGURATION} ({failure})"
        ) from None
