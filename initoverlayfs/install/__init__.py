# SPDX-License-Identifier: MIT
"""Publish pairs on the boot filesystem, roll back to the previous one, remove them."""
