# SPDX-License-Identifier: MIT
"""The exception for what storage-init decides. What a system call refuses is an OSError."""


class BootFailure(Exception):
    """Why an attempt, a step or a choice cannot go on: one sentence, for the log."""
