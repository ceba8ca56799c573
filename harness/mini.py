# SPDX-License-Identifier: MIT
"""Variants of a real mini-initramfs: files replaced, added or left out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from harness import cpio
from harness.privilege import run
from storage_init.formats import binding

CONFIGURATION = "etc/initoverlayfs.conf"

# Stands before the real init and takes its standard descriptors away.
_CLOSER = r"""
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv) {
    (void)argc;
    close(0); close(1); close(2);
    execve(NEXT, argv, environ);
    return 1;
}
"""


class Mini:
    """A mini-initramfs; every method gives a new one."""

    def __init__(self, entries: "Sequence[cpio.Entry]") -> None:
        self.entries = list(entries)

    @classmethod
    def load(cls, path: Path) -> "Mini":
        """Read an initramfs file."""
        return cls(cpio.read(path.read_bytes()))

    def with_files(self, files: dict[str, bytes]) -> "Mini":
        """With these files, names without a leading /."""
        return Mini(cpio.changed(self.entries, files))

    def with_program(self, name: str, content: bytes) -> "Mini":
        """With this program, a name that is not there yet."""
        return Mini([*self.entries, cpio.entry(name, content, cpio.REGULAR | 0o755)])

    def without(self, name: str) -> "Mini":
        """Without the file of this name; one of .ko in any directory, and compressed too."""
        if name.endswith(".ko"):
            ends = ("/" + name, "/" + name + ".xz")
            return Mini(cpio.without(self.entries, lambda path: path.endswith(ends)))
        return Mini(cpio.without(self.entries, lambda path: path == name))

    def unbound(self) -> "Mini":
        """Return it without the file that names its image, if it has one."""
        return self._without_any(binding.PATH.lstrip("/"))

    def configured(self, text: Optional[str]) -> "Mini":
        """With this initoverlayfs.conf, or none."""
        if text is not None:
            return self.with_files({CONFIGURATION: text.encode()})
        return self._without_any(CONFIGURATION)

    def _without_any(self, name: str) -> "Mini":
        return Mini([one for one in self.entries if one.name.lstrip("./") != name])

    def behind(self, source: str, directory: Path) -> "Mini":
        """Return it with a C program as /init that executes the present one, NEXT in its source."""
        name = "init." + str(sum(one.name.startswith("init.") for one in self.entries))
        program = compiled(source.replace("NEXT", f'"/{name}"'), directory / name)
        entries = []
        for one in self.entries:
            if one.name.lstrip("./") == "init":
                entries.append(cpio.Entry(name, one.fields, one.data))
                one = cpio.entry("init", program.read_bytes(), cpio.REGULAR | 0o755)
            entries.append(one)
        return Mini(entries)

    def with_closed_descriptors(self, directory: Path) -> "Mini":
        """With an /init that closes descriptors 0 to 2 before it executes the real one."""
        return self.behind(_CLOSER, directory)

    def write(self, path: Path) -> Path:
        """Write it as one uncompressed archive; the kernel takes that too."""
        path.write_bytes(cpio.write(self.entries))
        return path


class Raw(Mini):
    """An initramfs file as it is."""

    def __init__(self, data: bytes) -> None:
        super().__init__([])
        self.data = data

    def write(self, path: Path) -> Path:
        """Write it."""
        path.write_bytes(self.data)
        return path


def compiled(source: str, path: Path) -> Path:
    """A static program from C."""
    code = path.parent / (path.name + ".c")
    code.write_text(source)
    run(["musl-gcc", "-static", "-Os", "-Wall", "-Werror", "-o", str(path), str(code)])
    return path
