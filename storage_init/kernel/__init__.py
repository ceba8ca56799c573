# SPDX-License-Identifier: MIT
"""The kernel as storage-init sees it: system calls, files, constants, children, the log."""
