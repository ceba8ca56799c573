# SPDX-License-Identifier: MIT
"""Files that live no longer than a machine: in memory, so that no fsync waits for a disk."""

import os
import tempfile

_TMPFS = "/dev/shm"


def home() -> str:
    """Return a directory on a tmpfs that allows PROT_EXEC mappings, or TMPDIR if there is none.

    User-mode Linux needs them for the file that is its memory.
    """
    try:
        usable = os.access(_TMPFS, os.W_OK) and not os.statvfs(_TMPFS).f_flag & os.ST_NOEXEC
    except OSError:
        usable = False
    return _TMPFS if usable else tempfile.gettempdir()
