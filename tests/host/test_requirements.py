# SPDX-License-Identifier: MIT
"""The checks of a target before a build. tests/host/test_refusals.py has those of its commands."""

from pathlib import Path

import pytest
from host_support import AnsweringTarget, Dracut, settings

from initoverlayfs.build import mini, requirements
from initoverlayfs.errors import Failure
from initoverlayfs.target import Target


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("initrd_builder nosuch -x\n", "initrd_builder: command nosuch not found in "),
        ("initoverlayfs_builder dracut 'x\n", "No closing quotation: correct the quotation"),
    ],
)
def test_builder_that_cannot_run_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/dracut").touch(0o755)
    requirements.require_builders(Target(tmp_path), settings())
    with pytest.raises(Failure, match=f"^/etc/initoverlayfs.conf: .*{reason}"):
        requirements.require_builders(Target(tmp_path), settings(text))


def test_compressor_is_tried(tmp_path: Path) -> None:
    dracut = Dracut(tmp_path)
    requirements.require_compressor(dracut.job())
    reason = "fails with -znosuch -C65536: install erofs-utils 1.5 .* change erofs_compression in"
    with pytest.raises(Failure, match=reason):
        requirements.require_compressor(dracut.job("erofs_compression nosuch\n"))


def target_with_python3_module(root: Path, missing: str) -> AnsweringTarget:
    """Return a target with the dracut module, whose script prints what python3 lacks."""
    target = AnsweringTarget(root, python3=missing)
    script = target.path("/usr/lib/dracut/modules.d/92initoverlayfs-python3/needed.py")
    script.parent.mkdir(parents=True)
    script.touch()
    return target


def test_python3_requires_systemd_mode(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="mode is init: add --mode systemd, or --runtime micropython"):
        requirements.require_runtime(Target(tmp_path), "init", "python3")


def test_python3_requires_the_dracut_module(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="needed.py not found: install initoverlayfs in "):
        requirements.require_runtime(Target(tmp_path), "systemd", "python3")


def test_python3_requires_its_modules(tmp_path: Path) -> None:
    missing = "_cffi_backend python3-cffi-backend\npyudev python3-pyudev\n"
    target = target_with_python3_module(tmp_path, missing)
    with pytest.raises(Failure) as failure:
        requirements.require_runtime(target, "systemd", "python3")
    assert str(failure.value) == (
        f"runtime python3: python3 in {tmp_path} lacks _cffi_backend, pyudev: install the Debian"
        " packages python3-cffi-backend, python3-pyudev or their equivalents there"
    )


def test_python3_with_its_modules_is_accepted(tmp_path: Path) -> None:
    target = target_with_python3_module(tmp_path, "")
    requirements.require_runtime(target, "systemd", "python3")


def test_micropython_is_accepted_in_every_mode(tmp_path: Path) -> None:
    for mode in mini.MODES:
        requirements.require_runtime(Target(tmp_path), mode, "micropython")
