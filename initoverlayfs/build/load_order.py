# SPDX-License-Identifier: MIT
"""Prepares what storage-init knows about kernel modules: the order of loading, the aliases.

Run by the dracut module when the modules of the mini-initramfs are in place:

    python3 -m initoverlayfs.build.load_order INITDIR SRCMODS RELEASE [NAME...]

reads depmod's modules.dep, modules.softdep and modules.alias in SRCMODS and writes
INITDIR/usr/lib/initoverlayfs/{modules,aliases}, about those modules only that INITDIR holds.
storage_init/formats/module_tables.py reads these, and describes their format. Before that, it
unpacks the named modules and what is loaded with them; all modules if no name is given, and those
that the kernel does not unpack by itself.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from initoverlayfs.build import module_files
from initoverlayfs.machine import depmod
from initoverlayfs.machine.depmod import module_name

# What a module asks modprobe for while it mounts or probes, and declares nowhere.
UNDECLARED = {"vfat": ("nls_cp437", "nls_ascii", "nls_iso8859_1")}

# Prefixes of aliases that lead to no storage, though a module in the image may have them.
NO_DEVICES = {"cpu", "devname", "dmi", "symbol"}

# Devices whose modalias starts with the one are found on the bus of the other name.
ON_BUS = {"of": "platform", "acpi": "platform"}

_WILDCARD = re.compile(r"[*?[]")


def installed(directory: Path) -> dict[str, str]:
    """name -> path below the directory, of every module in it, compressed or not."""
    return {module_name(path): path for path in module_files.found(directory)}


class Order:
    """What to load before and after each of the modules in the image."""

    def __init__(
        self,
        paths: dict[str, str],
        hard: dict[str, list[str]],
        soft: dict[str, dict[str, list[str]]],
        patterns: list[tuple[str, str]],
    ) -> None:
        self._paths = paths
        self._hard = hard
        self._soft = soft
        self._aliases: dict[str, list[str]] = {}
        for pattern, module in patterns:
            if module in paths and not _WILDCARD.search(pattern):
                self._aliases.setdefault(pattern, []).append(module)

    def _resolve(self, word: str) -> list[str]:
        """The modules in the image that a soft dependency means.

        Where an alias has several, the generic one if there is one: it works on every CPU, the
        others only on those that have the instructions.
        """
        name = word.replace("-", "_")
        if name in self._paths:
            return [name]
        found = self._aliases.get(word + "-generic", []) + self._aliases.get(word, [])
        generic = [module for module in found if module.endswith("_generic")]
        return (generic or found)[:1]

    def before(self, name: str) -> list[str]:
        """All that must be there before a module, in the order to load it in."""
        found: dict[str, None] = {}
        self._collect(name, found, {name})
        return list(found)

    def _collect(self, name: str, found: dict[str, None], above: set[str]) -> None:
        wanted = [
            m for word in self._soft.get(name, {}).get("pre", []) for m in self._resolve(word)
        ]
        wanted += [module for module in UNDECLARED.get(name, ()) if module in self._paths]
        wanted += [module for module in self._hard.get(name, []) if module in self._paths]
        for module in wanted:
            if module not in found and module not in above:
                self._collect(module, found, above | {module})
                found[module] = None

    def after(self, name: str) -> list[str]:
        """What is to be loaded after a module; what that needs first comes before it."""
        found: dict[str, None] = {}
        for word in self._soft.get(name, {}).get("post", []):
            for module in self._resolve(word):
                found.update(dict.fromkeys(self.before(module)))
                found[module] = None
        found.pop(name, None)
        return list(found)

    def with_all(self, names: Iterable[str]) -> set[str]:
        """Those of these modules that are in the image, and all that is loaded with them."""
        found: set[str] = set()
        for name in self._paths.keys() & set(names):
            found.update({name}, self.before(name), self.after(name))
        return found


def modules_table(paths: dict[str, str], order: Order) -> str:
    """The text of /usr/lib/initoverlayfs/modules."""
    lines = ["# initoverlayfs modules 1"]
    for name in sorted(paths):
        fields = (name, paths[name], " ".join(order.before(name)), " ".join(order.after(name)))
        lines.append("\t".join(fields))
    return "\n".join(lines) + "\n"


def aliases_table(paths: Iterable[str], patterns: list[tuple[str, str]]) -> bytes:
    """The text of /usr/lib/initoverlayfs/aliases."""
    there = set(paths)
    lines = set()
    lengths: dict[str, set[int]] = {}
    for pattern, module in patterns:
        bus, colon, _ = pattern.partition(":")
        bus = bus.rstrip("*")  # acpi*:PNP0A05:*
        if module not in there or not colon or _WILDCARD.search(bus) or bus in NO_DEVICES:
            continue
        wildcard = _WILDCARD.search(pattern)
        length = wildcard.start() if wildcard else len(pattern)
        lengths.setdefault(bus, set()).add(length)
        if bus in ON_BUS:
            lengths.setdefault(ON_BUS[bus], set())
        lines.add("\t".join((pattern[:length], pattern[length:], module)).encode())
    head = "".join(f" {bus}:{','.join(map(str, sorted(lengths[bus])))}" for bus in sorted(lengths))
    return b"\n".join([b"#" + head.encode(), *sorted(lines)]) + b"\n"


def main(arguments: list[str]) -> int:
    """Do both. Returns 2 for wrong usage; OSError where a file cannot be read."""
    if len(arguments) < 3:
        usage = "usage: python3 -m initoverlayfs.build.load_order INITDIR SRCMODS RELEASE [NAME...]"
        print(usage, file=sys.stderr)
        return 2
    initdir, source, release, *names = Path(arguments[0]), Path(arguments[1]), *arguments[2:]
    directory = initdir / "usr/lib/modules" / release
    paths = installed(directory)
    patterns = depmod.aliases((source / "modules.alias").read_text())
    order = Order(
        paths,
        depmod.dependencies((source / "modules.dep").read_text()),
        depmod.soft_dependencies((source / "modules.softdep").read_text()),
        patterns,
    )
    kept = module_files.unpacked_by_kernel(source, release) if names else set()
    plain = order.with_all(names)
    module_files.unpack(
        directory,
        [path for name, path in paths.items() if name in plain or Path(path).suffix not in kept],
    )
    paths = installed(directory)
    target = initdir / "usr/lib/initoverlayfs"
    target.mkdir(parents=True, exist_ok=True)
    (target / "modules").write_text(modules_table(paths, order))
    (target / "aliases").write_bytes(aliases_table(paths, patterns))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
