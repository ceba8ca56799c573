# SPDX-License-Identifier: MIT
"""The estimate of the space on the boot filesystem, before anything is built."""

from pathlib import Path

import pytest
from host_support import free_space
from pairs_support import PLAIN, Boot

from initoverlayfs.errors import Failure
from initoverlayfs.install import preflight


@pytest.mark.parametrize("installed", [True, False])
def test_space_is_estimated_from_the_existing_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    boot = Boot(tmp_path)
    boot.places.initramfs.write_bytes(PLAIN + bytes(1 << 20))
    if installed:
        boot.install("x")
    preflight.require_room(boot.places)
    free_space(monkeypatch, tmp_path, 200)
    with pytest.raises(Failure, match=r"/boot: [0-9.]+ MB required, 0\.8 MB free"):
        preflight.require_room(boot.places)
