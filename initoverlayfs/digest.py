# SPDX-License-Identifier: MIT
"""Compare the content of files."""

import hashlib
from pathlib import Path

_CHUNK = 1 << 20


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def same(first: Path, second: Path) -> bool:
    """Return whether two files have the same content. Raises OSError."""
    return first.stat().st_size == second.stat().st_size and sha256(first) == sha256(second)
