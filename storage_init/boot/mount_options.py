# SPDX-License-Identifier: MIT
"""Split mount options into the flags of mount(2) and the options of the filesystem.

PID 1 imports this module only if there are mount options.
"""

from storage_init.kernel.abi import (
    MS_DIRSYNC,
    MS_I_VERSION,
    MS_LAZYTIME,
    MS_MANDLOCK,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_NOSYMFOLLOW,
    MS_RDONLY,
    MS_RELATIME,
    MS_SILENT,
    MS_STRICTATIME,
    MS_SYNCHRONOUS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple

# flag, words that set it, words that clear it. Source: linux_flags_map of libmount.
_FLAGS = (
    (MS_RDONLY, ("ro",), ("rw",)),
    (MS_NOSUID, ("nosuid",), ("suid",)),
    (MS_NODEV, ("nodev",), ("dev",)),
    (MS_NOEXEC, ("noexec",), ("exec",)),
    (MS_SYNCHRONOUS, ("sync",), ("async",)),
    (MS_DIRSYNC, ("dirsync",), ()),
    (MS_NOATIME, ("noatime",), ("atime",)),
    (MS_NODIRATIME, ("nodiratime",), ("diratime",)),
    (MS_RELATIME, ("relatime",), ("norelatime",)),
    (MS_STRICTATIME, ("strictatime",), ("nostrictatime",)),
    (MS_LAZYTIME, ("lazytime",), ("nolazytime",)),
    (MS_MANDLOCK, ("mand",), ("nomand",)),
    (MS_SILENT, ("silent",), ("loud",)),
    (MS_I_VERSION, ("iversion",), ("noiversion",)),
    (MS_NOSYMFOLLOW, ("nosymfollow",), ("symfollow",)),
)

# Options that mount(8), systemd and Ubuntu's mountall understand, and no filesystem. Sources:
# userspace_opts_map of libmount, which has the propagation flags too, and systemd.mount(5).
_DROPPED = (
    "defaults",
    "auto",
    "noauto",
    "nofail",
    "fail",
    "_netdev",
    "bootwait",
    "nobootwait",
    "user",
    "nouser",
    "users",
    "nousers",
    "owner",
    "noowner",
    "group",
    "nogroup",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "private",
    "rprivate",
    "unbindable",
    "runbindable",
)
_DROPPED_PREFIXES = ("x-", "X-", "comment=", "user=", "helper=", "uhelper=")


def parse(text: str, flags: int) -> "Tuple[int, str]":
    """Return the flags and the options of the filesystem. No word clears one of these flags."""
    chosen = 0
    data = []
    for word in text.split(","):
        for flag, names, opposites in _FLAGS:
            if word in names:
                chosen |= flag
                break
            if word in opposites:
                chosen &= ~flag
                break
        else:
            if word and word not in _DROPPED and not word.startswith(_DROPPED_PREFIXES):
                data.append(word)
    return flags | chosen, ",".join(data)
