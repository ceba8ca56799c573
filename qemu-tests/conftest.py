# SPDX-License-Identifier: MIT
"""What the QEMU cases share: the guest, built once, and the tiny machine."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fault_cases import FAULTS

from harness import accel, faults
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


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the rows of test_fault_table.py go besides, if there are any."""
    build = Path(__file__).resolve().parent.parent / "build"
    for option, name in (("--faults-json", "faults.json"), ("--faults-page", "faults.md")):
        parser.addoption(option, type=Path, default=build / name, help="write the rows there")


def pytest_configure(config: pytest.Config) -> None:
    """With xdist, reports come together in the process that is no worker."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_FaultRows(config))


class _FaultRows:
    """Collects the rows, and writes them in the order of the table."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._rows: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, row in report.user_properties:
            if name == "fault" and isinstance(row, dict):
                self._rows[row["fault"]] = row

    def pytest_sessionfinish(self) -> None:
        names = [fault.name for fault in FAULTS]
        rows = sorted(self._rows.values(), key=lambda row: names.index(row["fault"]))
        self._write("--faults-json", json.dumps(rows, indent=2) + "\n")
        self._write("--faults-page", faults.page(rows))

    def _write(self, option: str, text: str) -> None:
        path: Path = self._config.getoption(option)
        if self._rows:
            path.write_text(text)
