# SPDX-License-Identifier: MIT
"""Variants of a real mini-initramfs: files replaced, added or left out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from harness import cpio
from harness.privilege import run

CONFIGURATION = "etc/initoverlayfs.conf"

# Stands before the real init and takes its standard descriptors away.
_CLOSER = r"""
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv) {
    (void)argc;
    close(0); close(1); close(2);
    execve("/init.real", argv, environ);
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

    def configured(self, text: Optional[str]) -> "Mini":
        """With this initoverlayfs.conf, or none."""
        if text is not None:
            return self.with_files({CONFIGURATION: text.encode()})
        return self.without(CONFIGURATION)

    def with_closed_descriptors(self, directory: Path) -> "Mini":
        """With an /init that closes descriptors 0 to 2 before it becomes the real one."""
        wrapper = compiled(_CLOSER, directory / "closer")
        entries = []
        for one in self.entries:
            if one.name.lstrip("./") == "init":
                entries.append(cpio.Entry("init.real", one.fields, one.data))
                one = cpio.entry("init", wrapper.read_bytes(), cpio.REGULAR | 0o755)
            entries.append(one)
        return Mini(entries)

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
