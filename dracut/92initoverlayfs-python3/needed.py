# SPDX-License-Identifier: MIT
"""Prints the files that storage-init needs on this CPython, one a line; found by using them.

`python3 -I needed.py --missing` prints which modules cannot be imported instead, one a line with
the Debian package that has it.

A script of its own, and not a module: what it imports is what goes into the mini-initramfs.
"""

import os
import sys

# storage_init._syscalls comes last: it cannot be imported without the first.
MODULES = (
    ("_cffi_backend", "python3-cffi-backend"),
    ("pyudev", "python3-pyudev"),
    ("storage_init._syscalls", "initoverlayfs"),
)

# Its own standard streams, and those of a locale without one.
ENCODINGS = ("encodings.utf_8", "encodings.ascii", "encodings.latin_1")


def missing() -> "list[tuple[str, str]]":
    """(module, Debian package) of those that cannot be imported."""
    found: list[tuple[str, str]] = []
    for module, package in MODULES:
        if found and module == MODULES[-1][0]:
            break
        try:
            __import__(module)
        except ImportError:
            found.append((module, package))
    return found


def files() -> "list[str]":
    """Absolute paths, sorted. Raises ImportError or OSError for what does not work here."""
    started: list[str] = []

    def audit(event: str, arguments: "tuple[object, ...]") -> None:
        if event == "subprocess.Popen":
            started.append(str(arguments[0]))

    sys.addaudithook(audit)
    for module in ("storage_init.main", "storage_init.command_line", *ENCODINGS):
        __import__(module)
    import pyudev

    from storage_init.kernel.compat import syscalls

    # Here pyudev loads libudev. Upstream's asks ldconfig for its name, and so needs that too;
    # Debian's knows the name.
    pyudev.Context()
    syscalls.sc_getpid()
    with open("/proc/self/maps") as maps:
        mapped = [line.split(maxsplit=5)[5].strip() for line in maps if "/" in line]
    imported = [module for name, module in list(sys.modules.items()) if name != "__main__"]
    sources = [getattr(module, "__file__", None) for module in imported]
    found = {path for path in mapped if ".so" in os.path.basename(path)}
    found.update(os.path.abspath(path) for path in sources if path)
    found.update(path for path in started if os.path.isabs(path) and os.path.exists(path))
    found.add(sys.executable)
    return sorted(found)


def main(arguments: "list[str]") -> None:
    only_missing = arguments == ["--missing"]
    for line in [" ".join(pair) for pair in missing()] if only_missing else files():
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
