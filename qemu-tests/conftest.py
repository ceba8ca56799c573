# SPDX-License-Identifier: MIT
"""What the QEMU cases share: the guest, built once, and the tiny machine."""

import os
from pathlib import Path

import pytest
from harness import accel
from harness.guest import Guest
from harness.guest import guest as build_guest
from harness.tiny import Tiny


def _from_environment(name: str) -> Path:
    value = os.environ.get(name)
    if not value:
        pytest.skip(f"{name} is not set: run ./dev test qemu")
    return Path(value)


@pytest.fixture(scope="session")
def storage_init() -> Path:
    """The storage-init binary."""
    return _from_environment("INITOVERLAYFS_BIN") / "storage-init"


@pytest.fixture(scope="session")
def deb() -> Path:
    """The Debian package."""
    return _from_environment("INITOVERLAYFS_DEB")


@pytest.fixture(scope="session")
def guest(deb: Path) -> Guest:
    """The Debian guest with the package installed; built if it is not in the cache."""
    return build_guest(deb)


@pytest.fixture(scope="session")
def shared(guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """What tiny machines are made of."""
    return Tiny(guest, tmp_path_factory.mktemp("tiny"), accel.best(guest.kernel))


@pytest.fixture(scope="session")
def shared_verity(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The same, with a mini-initramfs that can verify."""
    guest = build_guest(deb, verity=True)
    return Tiny(guest, tmp_path_factory.mktemp("verity"), accel.best(guest.kernel))


@pytest.fixture
def verified(shared_verity: Tiny, tmp_path: Path) -> Tiny:
    """The tiny machine that can verify, with a directory of its own."""
    return shared_verity.at(tmp_path)


@pytest.fixture
def tiny(shared: Tiny, tmp_path: Path) -> Tiny:
    """The tiny machine, with a directory of its own."""
    return shared.at(tmp_path)
