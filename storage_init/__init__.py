# SPDX-License-Identifier: MIT
"""storage-init: stage 1 of initoverlayfs, from the kernel's first process to stage 2's init.

Everything here runs on MicroPython and on CPython: only what both have may be used.
"""

__version__ = "0.1.0"
