# SPDX-License-Identifier: MIT
"""The size of this machine's memory, and files that are copied into it."""

from storage_init.kernel.failure import BootFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple

    from storage_init.kernel.calls import Kernel

# Part of the memory that a copied file may occupy: one half, as for a tmpfs.
_PART = 2


def total(kernel: "Kernel") -> int:
    """Return the size of the memory in bytes, 0 if it is unknown."""
    for line in kernel.read_text("/proc/meminfo").split("\n"):
        words = line.split()
        if len(words) > 1 and words[0] == "MemTotal:" and words[1].isdigit():
            return int(words[1]) << 10
    return 0


def copy(kernel: "Kernel", fd: int, path: str, size: int) -> "Tuple[str, int]":
    """Copy an open file into memory; return a loop device over the copy and an open fd of it.

    Raises BootFailure if the file is larger than half of the memory, and OSError.
    """
    limit = total(kernel) // _PART
    if size > limit:
        text = "{} has {} bytes, and half of the memory is {}"
        raise BootFailure(text.format(path, size, limit))
    return kernel.loop_copy(fd, path, size)
