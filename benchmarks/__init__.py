# SPDX-License-Identifier: MIT
"""Measure boots with initoverlayfs and with its alternatives, and write docs/performance.md."""
