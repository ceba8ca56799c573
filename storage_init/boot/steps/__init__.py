# SPDX-License-Identifier: MIT
"""The steps of a boot: a class for each kind, grouped by what they work on."""
