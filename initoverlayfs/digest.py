# SPDX-License-Identifier: MIT
"""Comparing the content of files."""

import hashlib
from pathlib import Path

_BLOCK = 1 << 20


def sha256(path: Path) -> str:
    """Of the file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def same(first: Path, second: Path) -> bool:
    """Whether two files have the same content."""
    return first.stat().st_size == second.stat().st_size and sha256(first) == sha256(second)
