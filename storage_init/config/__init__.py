# SPDX-License-Identifier: MIT
"""The kernel command line, the settings, and what root= and its relatives say."""
