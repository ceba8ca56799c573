# SPDX-License-Identifier: MIT
"""Read and write initoverlayfs.conf.

It is read by storage-init's rules. It is written if it is missing, or if the options of
initoverlayfs-install differ from it.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Callable

from initoverlayfs.errors import Failure
from initoverlayfs.install.report import warn
from initoverlayfs.machine import bootfs
from initoverlayfs.machine.bootfs import BootFilesystem
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target
from storage_init.config.settings import CONFIGURATION

DEFAULT_IMAGE = "/initoverlayfs-%v.img"


def read(path: Path, warn: Callable[[str], None] = lambda warning: None) -> InstallSettings:
    """Return the settings in the file, the defaults if it is missing.

    Calls warn() for each unknown key and malformed value. Raises OSError.
    """
    text = ""
    with contextlib.suppress(FileNotFoundError):
        text = path.read_text(errors="replace")
    settings = _parse(text)
    for warning in settings.warnings:
        warn(warning)
    return settings


def _parse(text: str) -> InstallSettings:
    settings = InstallSettings()
    settings.read_configuration(text, CONFIGURATION)
    return settings


def default_text(boot: BootFilesystem) -> str:
    """Return the text of a new configuration for a boot filesystem."""
    lines = [
        "# Written by initoverlayfs-install. One setting a line; `storage-init --help` lists them.",
        "# Changes take effect when initoverlayfs-install -f has built new images.",
        f"bootfs {boot.reference}",
    ]
    if boot.fstype:
        lines.append(f"bootfstype {boot.fstype}")
    if boot.flags:
        lines.append(f"bootflags {boot.flags}")
    if boot.directory:
        lines.append(f"fs {boot.directory}{DEFAULT_IMAGE}")
    return "\n".join(lines) + "\n"


def merge(text: str, changes: Mapping[str, str]) -> str:
    """Return a configuration's text with changed settings; keeps the lines of all others.

    changes: key -> value, of settings whose key and name are the same.
    """
    for key, value in changes.items():
        if getattr(_parse(text), key) != value:
            text = re.sub(rf"^[ \t]*{key}(?![^ \t=\n]).*\n?", "", text, flags=re.M)
            text += "\n" * (text != "" and not text.endswith("\n")) + f"{key} {value}\n"
    return text


def write(path: Path, boot: BootFilesystem, changes: Mapping[str, str]) -> bool:
    """Write the configuration if it is missing or empty, or if it differs from the changes.

    Replaces the file by rename. Returns whether it was written. Raises OSError, and Failure for a
    file that has settings but lacks bootfs: the user has to complete it.
    """
    path = path.resolve()
    current = path.read_text(errors="surrogateescape") if path.exists() else ""
    if current.strip() and not read(path).bootfs:
        raise Failure(f"{path} does not set bootfs: add the line `bootfs {boot.reference}`")
    text = merge(current if current.strip() else default_text(boot), changes)
    if text == current:
        return False
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text, errors="surrogateescape")
    temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
    os.replace(temporary, path)
    return True


@contextlib.contextmanager
def updated(
    target: Target, boot: BootFilesystem, changes: Mapping[str, str]
) -> Iterator[InstallSettings]:
    """Write the configuration as write() does and yield its settings; restore it on an error."""
    path = target.path(CONFIGURATION)
    before = path.read_bytes() if path.exists() else None
    written = write(path, boot, changes)
    try:
        settings = read(path, warn)
        if not bootfs.same(target, settings.bootfs, boot):
            warn(f"{path} sets bootfs {settings.bootfs}, but /boot is on {boot.reference}")
        yield settings
    except BaseException:
        if written and before is None:
            path.unlink()
        elif written and before is not None:
            path.write_bytes(before)
        raise
