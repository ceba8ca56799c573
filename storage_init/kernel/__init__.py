# SPDX-License-Identifier: MIT
"""The interface to Linux: system calls, their constants, child processes, and the kernel log."""
