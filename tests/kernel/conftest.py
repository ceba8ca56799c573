# SPDX-License-Identifier: MIT
"""What the kernel tests share: who runs storage-init, loop devices, images."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.mini import compiled
from namespace import Machine

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: "list[pytest.Item]") -> None:
    """These tests mount; say so where that is not possible."""
    if os.geteuid() != 0:
        mark = pytest.mark.skip(reason="needs root, for mounts and loop devices")
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(mark)


def attached() -> "set[str]":
    """The loop devices in use and the files behind them."""
    listing = subprocess.run(
        ["losetup", "-n", "-O", "NAME,BACK-FILE"], stdout=subprocess.PIPE, text=True, check=True
    )
    return set(listing.stdout.splitlines())


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Fails a test that leaves loop devices or mounts behind."""
    before = attached()
    yield
    left = {line for line in attached() - before if str(tmp_path) in line}
    assert not left, "loop devices were left behind"
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


@pytest.fixture(scope="session")
def stage2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory tree whose init is stage2.c, static."""
    directory = tmp_path_factory.mktemp("stage2")
    program = compiled((HERE / "stage2.c").read_text(), directory / "stage2")
    tree = directory / "tree"
    for name in ("dev", "proc", "run", "sys"):
        (tree / name).mkdir(parents=True)
    (tree / "init").write_bytes(program.read_bytes())
    (tree / "init").chmod(0o755)
    return tree


@pytest.fixture(params=["micropython", "cpython"])
def machine(request: pytest.FixtureRequest, tmp_path: Path, stage2: Path) -> Machine:
    """A namespace whose PID 1 will be storage-init, on one interpreter and on the other."""
    if request.param == "cpython":
        return Machine(tmp_path, stage2, [sys.executable, "-m", "storage_init"])
    if "INITOVERLAYFS_BIN" not in os.environ:
        assert "CI" not in os.environ, "INITOVERLAYFS_BIN is not set: run ./dev test"
        pytest.skip("no built storage-init: run ./dev test kernel")
    return Machine(tmp_path, stage2, [os.environ["INITOVERLAYFS_BIN"] + "/storage-init"])
