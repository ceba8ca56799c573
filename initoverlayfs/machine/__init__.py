# SPDX-License-Identifier: MIT
"""The machine and the system on it: boot filesystem, storage stack, kernels."""
