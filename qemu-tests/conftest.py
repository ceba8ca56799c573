# SPDX-License-Identifier: MIT
"""Fixtures of the tests on whole machines: the Debian guest, built once, and the tiny machines."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_cases import FAULTS
from xdist.scheduler import LoadScopeScheduling

from harness import faults, platforms, scratch, uml
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
    """Return the path of the storage-init binary."""
    return _from_environment("INITOVERLAYFS_BIN") / "storage-init"


@pytest.fixture(scope="session")
def deb() -> Path:
    """Return the path of the Debian package."""
    return _from_environment("INITOVERLAYFS_DEB")


@pytest.fixture(scope="session")
def guest(deb: Path) -> Guest:
    """Return the Debian guest with the package installed. Builds it if it is not in the cache."""
    return build_guest(deb)


@pytest.fixture(scope="session")
def tiny_qemu(guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Return the tiny machine in QEMU. Tests use copies of it: see `tiny`."""
    return Tiny(platforms.qemu(guest), tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def verified_qemu(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Return the tiny machine in QEMU whose mini-initramfs can verify images."""
    guest = build_guest(deb, verity=True)
    return Tiny(platforms.qemu(guest), tmp_path_factory.mktemp("verity"))


@pytest.fixture(scope="session")
def tiny_uml(storage_init: Path, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Return the tiny machine in user-mode Linux. Its mini-initramfs can verify images."""
    lacking = uml.missing()
    if lacking:
        pytest.skip(lacking)
    directory = tmp_path_factory.mktemp("uml")
    return Tiny(platforms.user_mode(storage_init, directory), directory)


@pytest.fixture
def platform(request: pytest.FixtureRequest) -> str:
    """Return the platform's name, `uml` or `qemu`: see pytest_generate_tests()."""
    return str(request.param)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Make a directory in memory, and remove it after the test."""
    with tempfile.TemporaryDirectory(prefix="tiny-", dir=scratch.home()) as path:
        yield Path(path)


@pytest.fixture
def tiny(request: pytest.FixtureRequest, platform: str, directory: Path) -> Tiny:
    """Return the tiny machine with a directory of its own."""
    shared: Tiny = request.getfixturevalue("tiny_" + platform)
    return shared.at(directory)


@pytest.fixture
def verified(request: pytest.FixtureRequest, platform: str, directory: Path) -> Tiny:
    """Return the tiny machine that can verify images, with a directory of its own."""
    name = {"qemu": "verified_qemu", "uml": "tiny_uml"}[platform]
    shared: Tiny = request.getfixturevalue(name)
    return shared.at(directory)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a tiny machine's test in user-mode Linux, or on the platforms that its mark names."""
    if "platform" not in metafunc.fixturenames:
        return
    if any("platform" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")):
        return
    mark = metafunc.definition.get_closest_marker("platforms")
    metafunc.parametrize("platform", list(mark.args if mark else ["uml"]), indirect=True)


def _shares(path: Path) -> bool:
    """Return whether tests in this file share a fixture, so that one worker must run them all."""
    return 'scope="module"' in path.read_text()


def pytest_collection_modifyitems(items: "list[pytest.Item]") -> None:
    """Mark the tests in user-mode Linux, and move to the front what takes longest.

    These are the tests with the mark `first`, then the files that one worker must run.
    """
    for item in items:
        if hasattr(item, "callspec") and item.callspec.params.get("platform") == "uml":
            item.add_marker("uml")
    shared = {path: _shares(path) for path in {item.path for item in items}}
    items.sort(
        key=lambda item: 0 if item.get_closest_marker("first") else 1 if shared[item.path] else 2
    )


class _Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Run tests that share a module-scoped fixture on one worker, and spread all others."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if _shares(self.config.rootpath / path) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Distribute the tests over workers in place of --dist."""
    return _Scheduler(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options for the files that get the results of test_fault_table.py, if it runs."""
    build = Path(__file__).resolve().parent.parent / "build"
    for option, name in (("--faults-json", "faults.json"), ("--faults-page", "faults.md")):
        parser.addoption(option, type=Path, default=build / name, help="write the rows there")


def pytest_configure(config: pytest.Config) -> None:
    """Collect the results in the main process, to which the workers of xdist send reports."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_FaultRows(config))


class _FaultRows:
    """Collect the results of the faults, and write them in the order of the table."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, row in report.user_properties:
            if name == "fault" and isinstance(row, dict):
                self._rows[row["fault"], row["platform"]] = row

    def pytest_sessionfinish(self) -> None:
        order = [(fault.name, kind) for fault in FAULTS for kind in fault.platforms]
        rows = [self._rows[key] for key in order if key in self._rows]
        self._write("--faults-json", json.dumps(rows, indent=2) + "\n")
        self._write("--faults-page", faults.page(rows))

    def _write(self, option: str, text: str) -> None:
        path: Path = self._config.getoption(option)
        if self._rows:
            path.write_text(text)
