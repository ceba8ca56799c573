# SPDX-License-Identifier: MIT
"""The exception that ends initoverlayfs-install with a message."""


class Failure(Exception):
    """A line for the user: the operation, its object, the reason, and what to do about it."""
