# SPDX-License-Identifier: MIT
"""Verify an installation."""
