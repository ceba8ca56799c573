# SPDX-License-Identifier: MIT
"""Locate the programs that micropython/build made, for tests that run them."""

import os

import pytest


def program(name: str) -> str:
    """Return the path of a program: storage-init, storage-init.counted, micropython, mpy-cross.

    Skips the test if nothing was built; in CI the test fails instead.
    """
    if "INITOVERLAYFS_BIN" not in os.environ:
        assert "CI" not in os.environ, "INITOVERLAYFS_BIN is not set: run ./dev test"
        pytest.skip("requires INITOVERLAYFS_BIN, which ./dev test sets")
    return os.path.join(os.environ["INITOVERLAYFS_BIN"], name)
