# SPDX-License-Identifier: MIT
"""Machines for tests and benchmarks: user-mode Linux, QEMU, their disks, the Debian guest."""
