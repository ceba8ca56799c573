# SPDX-License-Identifier: MIT
"""Checking what is installed."""
