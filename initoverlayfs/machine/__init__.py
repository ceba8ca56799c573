# SPDX-License-Identifier: MIT
"""Read the machine and its system: boot filesystem, storage stack, kernels."""
