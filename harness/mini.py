# SPDX-License-Identifier: MIT
"""Make variants of a real mini-initramfs: replace, add or remove files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from harness import cpio
from harness.privilege import run
from storage_init.formats import binding

CONFIGURATION = "etc/initoverlayfs.conf"

# An /init that closes the standard descriptors, and then executes the real init.
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
    """A mini-initramfs. Methods that alter its content return a copy."""

    def __init__(self, entries: "Sequence[cpio.Entry]") -> None:
        self.entries = list(entries)

    @classmethod
    def load(cls, path: Path) -> "Mini":
        """Read an initramfs file."""
        return cls(cpio.read(path.read_bytes()))

    def with_files(self, files: dict[str, bytes]) -> "Mini":
        """Return a copy with these files replaced or added; names without a leading slash."""
        return Mini(cpio.changed(self.entries, files))

    def with_program(self, name: str, content: bytes) -> "Mini":
        """Return a copy with this executable file added. Its name must be new."""
        return Mini([*self.entries, cpio.entry(name, content, cpio.REGULAR | 0o755)])

    def without(self, name: str) -> "Mini":
        """Return a copy without this file. Raises ValueError if it is missing.

        A name that ends in .ko matches in any directory, and matches a compressed module too.
        """
        if name.endswith(".ko"):
            ends = ("/" + name, "/" + name + ".xz")
            return Mini(cpio.without(self.entries, lambda path: path.endswith(ends)))
        return Mini(cpio.without(self.entries, lambda path: path == name))

    def unbound(self) -> "Mini":
        """Return a copy without the binding, if it has one."""
        return self._without_any(binding.PATH.lstrip("/"))

    def configured(self, text: Optional[str]) -> "Mini":
        """Return a copy with this initoverlayfs.conf, or without the file if `text` is None."""
        if text is not None:
            return self.with_files({CONFIGURATION: text.encode()})
        return self._without_any(CONFIGURATION)

    def _without_any(self, name: str) -> "Mini":
        return Mini([one for one in self.entries if one.name.lstrip("./") != name])

    def behind(self, source: str, directory: Path) -> "Mini":
        """Return a copy with a C program as /init. Its source calls the old /init NEXT."""
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
        """Return a copy whose /init closes descriptors 0 to 2 before it executes the real one."""
        return self.behind(_CLOSER, directory)

    def write(self, path: Path) -> Path:
        """Write one uncompressed archive, which the kernel accepts too; return its path."""
        path.write_bytes(cpio.write(self.entries))
        return path


class Raw(Mini):
    """An initramfs file whose content stays unchanged."""

    def __init__(self, data: bytes) -> None:
        super().__init__([])
        self.data = data

    def write(self, path: Path) -> Path:
        """Write the file; return its path."""
        path.write_bytes(self.data)
        return path


def compiled(source: str, path: Path) -> Path:
    """Compile a static program from C; return its path. Raises CommandFailed."""
    code = path.parent / (path.name + ".c")
    code.write_text(source)
    run(["musl-gcc", "-static", "-Os", "-Wall", "-Werror", "-o", str(path), str(code)])
    return path
