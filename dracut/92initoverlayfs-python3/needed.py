# SPDX-License-Identifier: MIT
"""Print the files that storage-init requires on this CPython, one a line.

`python3 -I needed.py --missing` prints the modules that cannot be imported instead, each with its
Debian package.

This is a script and not a module, because all that it imports goes into the mini-initramfs.
"""

import os
import sys

# The last one cannot be imported without the first one.
MODULES = (
    ("_cffi_backend", "python3-cffi-backend"),
    ("pyudev", "python3-pyudev"),
    ("storage_init._syscalls", "initoverlayfs"),
)

# Encodings of the standard streams, in UTF-8 mode and in the C locale.
ENCODINGS = ("encodings.utf_8", "encodings.ascii", "encodings.latin_1")


def missing() -> "list[tuple[str, str]]":
    """Return (module, Debian package) for each module that cannot be imported."""
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
    """Return the sorted absolute paths of the files that storage-init uses.

    Finds them by importing and using its modules. Raises ImportError or OSError if one does not
    work on this system.
    """
    started: list[str] = []

    def audit(event: str, arguments: "tuple[object, ...]") -> None:
        if event == "subprocess.Popen":
            started.append(str(arguments[0]))

    sys.addaudithook(audit)
    for module in ("storage_init.main", "storage_init.command_line", *ENCODINGS):
        __import__(module)
    import pyudev

    from storage_init.kernel.compat import syscalls

    # This makes pyudev load libudev. Upstream's pyudev runs ldconfig to find the library, so it
    # requires ldconfig as well. Debian's pyudev contains the name of the library.
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
