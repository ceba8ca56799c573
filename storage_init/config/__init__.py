# SPDX-License-Identifier: MIT
"""Parse the kernel command line, the boot settings, and root= with its related words."""
