# SPDX-License-Identifier: MIT
"""A build: its inputs, its working directory, and running dracut and scripts in it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from initoverlayfs.errors import Failure
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target
from storage_init.config.settings import CONFIGURATION, REQUIRE


@dataclass(frozen=True)
class Job:
    """The inputs of a build.

    release: of the kernel. work: path of the working directory inside the target; nothing outside
    it changes. settings: from the configuration file. drivers: modules that the mini-initramfs must
    contain to reach /boot.
    """

    target: Target
    release: str
    work: str
    settings: InstallSettings
    drivers: Sequence[str] = ()

    def path(self, name: str) -> Path:
        """Return the path on this system of a file in the working directory."""
        return self.target.path(f"{self.work}/{name}")

    def run_dracut(self, builder: str, output: str, *options: str) -> None:
        """Run the command line of a builder setting, to create work/output. Raises Failure.

        builder: the name of the setting, initrd_builder or initoverlayfs_builder.
        """
        line = [*builder_words(self.settings, builder), "--force", "--reproducible"]
        # dracut's temporary files lie in the working directory too, where the next run removes
        # them if this one is killed.
        line += ["--tmpdir", self.work, *options]
        line += {"yes": ["--hostonly"], "no": ["--no-hostonly"]}.get(self.settings.hostonly, [])
        self.target.run([*line, f"{self.work}/{output}", self.release])

    def run_script(self, script: str, *arguments: str) -> None:
        """Run a shell script in the working directory; it ends at the first error. Raises Failure.

        arguments: the script's positional parameters.
        """
        self.target.run(["sh", "-ec", f'cd "{self.work}"\n{script}', "sh", *arguments])


def wants_hash_tree(settings: InstallSettings) -> bool:
    """Return whether the image gets a hash tree: on request, and if only verified images boot."""
    return settings.hash_tree or settings.verity == REQUIRE


def builder_words(settings: InstallSettings, builder: str) -> list[str]:
    """Split a builder setting into words, as a shell does. Raises Failure for unbalanced quotes."""
    line = getattr(settings, builder)
    try:
        return shlex.split(line) or [line]
    except ValueError as error:
        raise Failure(
            f"{CONFIGURATION}: {builder} {line}: {error}: correct the quotation marks"
        ) from None
