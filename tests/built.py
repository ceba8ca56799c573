# SPDX-License-Identifier: MIT
"""The programs that micropython/build made, for tests that run them."""

import os

import pytest


def program(name: str) -> str:
    """The path of storage-init, micropython or mpy-cross. Without ./dev test, a skip."""
    if "INITOVERLAYFS_BIN" not in os.environ:
        assert "CI" not in os.environ, "INITOVERLAYFS_BIN is not set: run ./dev test"
        pytest.skip("no built storage-init: INITOVERLAYFS_BIN is not set, ./dev test sets it")
    return os.path.join(os.environ["INITOVERLAYFS_BIN"], name)
