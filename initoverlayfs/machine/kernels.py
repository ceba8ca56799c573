# SPDX-License-Identifier: MIT
"""Which kernel the images are for, and what its initramfs is called."""

import os
from typing import Optional

from initoverlayfs.errors import Failure
from initoverlayfs.machine import depmod
from initoverlayfs.target import Target

MODULES = "/usr/lib/modules"


def installed(target: Target) -> list[str]:
    """The releases of the kernels that have modules, sorted."""
    directory = target.path(MODULES)
    if not directory.is_dir():
        directory = target.path("/lib/modules")
    if not directory.is_dir():
        return []
    return sorted(path.name for path in directory.iterdir() if (path / "modules.dep").is_file())


def choose(target: Target, wanted: Optional[str]) -> str:
    """The release to build for: the wanted one, the running one, or the only one there is.

    Raises Failure where there is no such kernel, or more than one to choose from.
    """
    found = installed(target)
    where = target.path(MODULES)
    if not found:
        raise Failure(f"no kernel in {where}: install one, or run depmod for it")
    if wanted:
        if wanted not in found:
            raise Failure(f"kernel {wanted} has no modules in {where}; it has {', '.join(found)}")
        return wanted
    if target.is_running_system and os.uname().release in found:
        return os.uname().release
    if len(found) == 1:
        return found[0]
    raise Failure(f"several kernels in {where}: say --kver with one of {', '.join(found)}")


def modules(target: Target, release: str) -> set[str]:
    """Return the names of a kernel's modules, from the text of modules.dep; empty without one."""
    return set(depmod.dependencies(_table(target, release, "modules.dep")))


def built_in(target: Target, release: str) -> set[str]:
    """Return the names of the modules that are built into a kernel: modules.builtin lists them.

    That file lacks code that can only be built in.
    """
    names = _table(target, release, "modules.builtin").split()
    return {depmod.module_name(name) for name in names}


def _table(target: Target, release: str, name: str) -> str:
    try:
        return target.path(f"{MODULES}/{release}/{name}").read_text()
    except OSError:
        return ""


def initramfs_name(target: Target, release: str) -> str:
    """The file name of the initramfs in /boot: the one that is there, else the distribution's."""
    debian, fedora = initramfs_names(release)
    for name in (debian, fedora):
        if target.path("/boot/" + name).exists():
            return name
    return debian if target.path("/etc/debian_version").exists() else fedora


def initramfs_names(release: str) -> tuple[str, str]:
    """Its file name as in Debian, and as in Fedora."""
    return f"initrd.img-{release}", f"initramfs-{release}.img"
