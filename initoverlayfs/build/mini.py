# SPDX-License-Identifier: MIT
"""Build the mini-initramfs with dracut."""

import re
from dataclasses import dataclass
from pathlib import Path

from initoverlayfs.build import initramfs
from initoverlayfs.build.job import Job, wants_hash_tree
from initoverlayfs.errors import Failure
from initoverlayfs.machine.build_settings import PYTHON3

# Read dracut.conf, except for its choice of dracut modules: another one that installs /init would
# conflict with ours.
_DRACUT_CONF = """\
for file in "$dracutsysrootdir"/etc/dracut.conf \\
    "$dracutsysrootdir"/usr/lib/dracut/dracut.conf.d/*.conf \\
    "$dracutsysrootdir"/etc/dracut.conf.d/*.conf; do
    [ ! -r "$file" ] || . "$file"
done
add_dracutmodules="" force_add_dracutmodules="" uefi=no
add_drivers+=" {drivers} "
initoverlayfs_verity={verity}
"""


@dataclass(frozen=True)
class Mode:
    """A kind of mini-initramfs: the dracut module that makes it, and the files it must contain.

    dracut itself does not fail if one of its modules cannot install a file.
    """

    module: str
    files: tuple[str, ...]


_UNITS = "usr/lib/systemd/system/pre-initoverlayfs"

MODES = {
    "init": Mode(
        "initoverlayfs",
        ("init", "etc/initoverlayfs.conf", "usr/lib/initoverlayfs/modules"),
    ),
    "systemd": Mode(
        "initoverlayfs-systemd",
        (
            *("init", "etc/initoverlayfs.conf", "usr/bin/storage-init", "etc/initrd-release"),
            *(_UNITS + ".target", _UNITS + ".service", _UNITS + "-switch-root.service"),
            *("etc/systemd/system/initrd.target", "usr/lib/systemd/systemd-udevd"),
        ),
    ),
}
_PYTHON3_MODE = Mode("initoverlayfs-python3", (*MODES["systemd"].files, "usr/bin/python3"))

_CPYTHON_FILES = re.compile(r"usr/(bin|lib|lib64)/python3")


def build(job: Job) -> Path:
    """Build the mini-initramfs, without a binding, and return its path.

    Raises Failure if dracut fails, or if the result lacks a required file or driver.
    """
    verity = "yes" if wants_hash_tree(job.settings) else "no"
    text = _DRACUT_CONF.replace("{verity}", verity).replace("{drivers}", " ".join(job.drivers))
    job.path("conf").write_text(text)
    job.path("conf.d").mkdir()
    options = ("--conf", f"{job.work}/conf", "--confdir", f"{job.work}/conf.d")
    python3 = job.settings.runtime == PYTHON3
    mode = _PYTHON3_MODE if python3 else MODES[job.settings.initoverlayfs_init]
    job.run_dracut("initrd_builder", "mini", *options, "-m", mode.module)
    _require_content(job, mode)
    return job.path("mini")


def _require_content(job: Job, mode: Mode) -> None:
    names = initramfs.names(job.path("mini"))
    for name in mode.files:
        if name not in names:
            raise Failure(
                f"dracut made a mini-initramfs without {name}: add -v to see dracut's messages"
            )
    missing = set(job.drivers) - set(initramfs.module_names(names))
    if missing:
        raise Failure(
            f"dracut made a mini-initramfs without {', '.join(sorted(missing))}, which this machine"
            " requires to reach /boot: see omit_drivers in dracut.conf, or add -v to see dracut's"
            " messages"
        )


def cpython_size(path: Path) -> int:
    """Return the unpacked bytes of CPython in an initramfs, 0 without it. Raises Failure."""
    sizes = initramfs.sizes(path)
    return sum(size for name, size in sizes.items() if _CPYTHON_FILES.match(name))
