# SPDX-License-Identifier: MIT
"""Machines for the QEMU cases: their images by script, the virtual machine, the boot of a guest."""
