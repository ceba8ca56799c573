# SPDX-License-Identifier: MIT
"""The one exception that users see."""


class Failure(Exception):
    """One line that says what cannot be done, with what, why, and what to do about it."""
