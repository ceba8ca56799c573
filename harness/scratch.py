# SPDX-License-Identifier: MIT
"""Locate a directory in memory for the files of a machine, so that no fsync waits for a disk."""

import os
import tempfile

_TMPFS = "/dev/shm"


def home() -> str:
    """Return a directory on a tmpfs that allows PROT_EXEC mappings, or TMPDIR if there is none.

    User-mode Linux requires such mappings for the file that contains its memory.
    """
    try:
        usable = os.access(_TMPFS, os.W_OK) and not os.statvfs(_TMPFS).f_flag & os.ST_NOEXEC
    except OSError:
        usable = False
    return _TMPFS if usable else tempfile.gettempdir()
