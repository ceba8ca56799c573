# SPDX-License-Identifier: MIT
"""Choose a kernel, read its lists of modules, name its initramfs."""

import os
from typing import Optional

from initoverlayfs.errors import Failure
from initoverlayfs.machine import depmod
from initoverlayfs.target import Target

MODULES = "/usr/lib/modules"


def installed(target: Target) -> list[str]:
    """Return the releases of the kernels that have a modules.dep, sorted."""
    directory = target.path(MODULES)
    if not directory.is_dir():
        directory = target.path("/lib/modules")
    if not directory.is_dir():
        return []
    return sorted(path.name for path in directory.iterdir() if (path / "modules.dep").is_file())


def choose(target: Target, wanted: Optional[str]) -> str:
    """Return the release to build for: the wanted one, else the running one, else the only one.

    Raises Failure if the wanted kernel is not installed, or if several are and none is running.
    """
    found = installed(target)
    directory = target.path(MODULES)
    if not found:
        raise Failure(f"no kernel with a modules.dep in {directory}: install one, or run depmod")
    if wanted:
        if wanted not in found:
            raise Failure(
                f"kernel {wanted} has no modules in {directory}: choose one of {', '.join(found)}"
            )
        return wanted
    if target.is_running_system and os.uname().release in found:
        return os.uname().release
    if len(found) == 1:
        return found[0]
    raise Failure(f"several kernels in {directory}: choose one with --kver: {', '.join(found)}")


def modules(target: Target, release: str) -> set[str]:
    """Return the names of a kernel's modules, from modules.dep; an empty set without that file."""
    return set(depmod.dependencies(_read(target, release, "modules.dep")))


def built_in(target: Target, release: str) -> set[str]:
    """Return the names of the modules that are built into a kernel, from modules.builtin.

    That file does not list code that cannot be a module.
    """
    names = _read(target, release, "modules.builtin").split()
    return {depmod.module_name(name) for name in names}


def _read(target: Target, release: str, name: str) -> str:
    try:
        return target.path(f"{MODULES}/{release}/{name}").read_text()
    except OSError:
        return ""


def initramfs_name(target: Target, release: str) -> str:
    """Return the name of a kernel's initramfs: the existing one, else the distribution's."""
    debian, fedora = initramfs_names(release)
    for name in (debian, fedora):
        if target.path("/boot/" + name).exists():
            return name
    return debian if target.path("/etc/debian_version").exists() else fedora


def initramfs_names(release: str) -> tuple[str, str]:
    """Return the names of a kernel's initramfs on Debian and on Fedora."""
    return f"initrd.img-{release}", f"initramfs-{release}.img"
