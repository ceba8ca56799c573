# SPDX-License-Identifier: MIT
"""initoverlayfs.conf: read by the rules of storage-init; written where there is none, and where
initoverlayfs-install is told something else."""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

from initoverlayfs.errors import Failure
from initoverlayfs.machine.bootfs import BootFilesystem
from initoverlayfs.machine.build_settings import InstallSettings
from storage_init.config.settings import CONFIGURATION

DEFAULT_IMAGE = "/initoverlayfs-%v.img"


def read(path: Path, warn: Callable[[str], None] = lambda warning: None) -> InstallSettings:
    """The settings in the file; the defaults where it is missing. What is wrong goes to warn()."""
    text = ""
    with contextlib.suppress(FileNotFoundError):
        text = path.read_text(errors="replace")
    settings = _parsed(text)
    for warning in settings.warnings:
        warn(warning)
    return settings


def _parsed(text: str) -> InstallSettings:
    settings = InstallSettings()
    settings.read_configuration(text, CONFIGURATION)
    return settings


def text(boot: BootFilesystem) -> str:
    """The configuration for a boot filesystem."""
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
    return "\n".join(lines) + "\n"


def changed(text: str, choices: Mapping[str, str]) -> str:
    """The text with these values for these keys; lines that say so already stay as they are."""
    for key, value in choices.items():
        if getattr(_parsed(text), key) != value:
            text = re.sub(rf"^[ \t]*{key}(?![^ \t=\n]).*\n?", "", text, flags=re.M)
            text += "\n" * (text != "" and not text.endswith("\n")) + f"{key} {value}\n"
    return text


def complete(path: Path, boot: BootFilesystem, choices: Mapping[str, str]) -> bool:
    """Write the configuration if it is missing or empty, or says other than the choices.

    choices: values of settings whose key and name are the same. Returns whether it was written.
    Raises Failure for one that has settings but lacks bootfs: it is the user's to complete.
    """
    path = path.resolve()
    present = path.read_text(errors="surrogateescape") if path.exists() else ""
    if present.strip() and not read(path).bootfs:
        raise Failure(f"{path} does not set bootfs: add the line `bootfs {boot.reference}`")
    new = changed(present if present.strip() else text(boot), choices)
    if new == present:
        return False
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(new, errors="surrogateescape")
    temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
    os.replace(temporary, path)
    return True
