# SPDX-License-Identifier: MIT
"""Stand-ins for a target and its programs, shared by the tests of the host side."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness import cpio
from initoverlayfs.build.job import Job
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target

RELEASE = "6.12.1"


def settings(text: str = "") -> InstallSettings:
    """Return the settings of a configuration, which must be free of errors."""
    found = InstallSettings()
    found.read_configuration(text)
    assert found.warnings == []
    return found


class AnsweringTarget(Target):
    """A target that runs no commands. answers: command -> its output, "" if missing."""

    def __init__(self, root: Path, **answers: str) -> None:
        super().__init__(root)
        self.answers = answers

    def run(self, argv: Sequence[str]) -> str:
        return self.answers.get(argv[0], "")


# Reads a command line as dracut does, writes it as JSON beside the output, and writes the initramfs
# that lies beside the script.
_DRACUT = """\
#!/usr/bin/python3
import argparse, json, os, shutil, sys
parser = argparse.ArgumentParser(allow_abbrev=False)
for flag in ("--force", "--reproducible", "--hostonly", "--no-hostonly"):
    parser.add_argument(flag, action="store_true")
for flag in ("--no-compress", "--no-early-microcode", "--no-uefi"):
    parser.add_argument(flag, action="store_true")
for option in ("--tmpdir", "--conf", "--confdir", "--add"):
    parser.add_argument(option)
parser.add_argument("-m", "--modules")
parser.add_argument("output")
parser.add_argument("kernel")
arguments = parser.parse_args()
directory, name = os.path.split(arguments.output)
with open(os.path.join(directory, "options-" + name), "w") as file:
    json.dump(vars(arguments), file)
shutil.copy(os.path.join(os.path.dirname(sys.argv[0]), "initramfs"), arguments.output)
"""


class Dracut:
    """A dracut that writes a prepared initramfs; jobs for it on the running system."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.script = directory / "dracut"
        self.script.write_text(_DRACUT)
        self.script.chmod(0o755)
        self.prepare([])

    def prepare(self, names: Sequence[str]) -> None:
        """Let it write an initramfs with empty files of these names."""
        content = cpio.write([cpio.entry(name) for name in names])
        (self.directory / "initramfs").write_bytes(content)

    def job(self, text: str = "", options: str = "", drivers: Sequence[str] = ()) -> Job:
        """Return a job with a new working directory.

        text: of the configuration. options: of dracut, in both builder settings.
        """
        work = self.directory / f"work{len(list(self.directory.glob('work*')))}"
        work.mkdir()
        for builder in ("initrd_builder", "initoverlayfs_builder"):
            text += f"{builder} {self.script} {options}\n"
        return Job(Target(Path("/")), RELEASE, str(work), settings(text), drivers)

    @staticmethod
    def requested(job: Job, output: str) -> "dict[str, Any]":
        """Return the options of the run that made work/output; None or False: not given."""
        found = json.loads(job.path(f"options-{output}").read_text())
        assert isinstance(found, dict)
        return found


def free_space(monkeypatch: pytest.MonkeyPatch, path: Path, blocks: int) -> None:
    """Let statvfs() report this number of free blocks of 4096 bytes for every path."""
    rest = list(os.statvfs(path))[5:10]
    status = os.statvfs_result([4096, 4096, 9999, blocks, blocks, *rest])
    monkeypatch.setattr(os, "statvfs", lambda path: status)
