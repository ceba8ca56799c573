# SPDX-License-Identifier: MIT
"""initoverlayfs.conf: read by the rules of storage-init, written where there is none."""

import contextlib
import os
from pathlib import Path
from typing import Callable, Optional

from initoverlayfs.bootfs import BootFilesystem
from initoverlayfs.errors import Failure
from storage_init.settings import CONFIGURATION, Settings

DEFAULT_IMAGE = "/initoverlayfs-%v.img"


def read(path: Path, warn: Callable[[str], None]) -> Settings:
    """The settings in the file; the defaults where it is missing. What is wrong goes to warn()."""
    settings = Settings()
    with contextlib.suppress(FileNotFoundError):
        settings.read_configuration(path.read_text(errors="replace"), CONFIGURATION)
    for warning in settings.warnings:
        warn(warning)
    return settings


def text(boot: BootFilesystem, mode: Optional[str] = None) -> str:
    """The configuration for a boot filesystem, and for a mode where one was asked for."""
    lines = [
        "# Written by initoverlayfs-install. One setting a line; `storage-init --help` lists them.",
        "# A change here takes effect when initoverlayfs-install -f has run again.",
        f"bootfs {boot.reference}",
    ]
    if boot.fstype:
        lines.append(f"bootfstype {boot.fstype}")
    if boot.flags:
        lines.append(f"bootflags {boot.flags}")
    if boot.directory:
        lines.append(f"fs {boot.directory}{DEFAULT_IMAGE}")
    if mode:
        lines.append(f"initoverlayfs_init {mode}")
    return "\n".join(lines) + "\n"


def complete(path: Path, boot: BootFilesystem, mode: Optional[str] = None) -> bool:
    """Write the configuration if it is missing or empty; whether that was so.

    Raises Failure for one that has settings but lacks bootfs: it is the user's to complete.
    """
    present = path.read_text(errors="replace") if path.exists() else ""
    if not present.strip():
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(text(boot, mode))
        os.replace(temporary, path)
        return True
    if not read(path, lambda warning: None).bootfs:
        raise Failure(f"{path} does not set bootfs: add the line `bootfs {boot.reference}`")
    return False
