# SPDX-License-Identifier: MIT
"""Write storage-init's tables of kernel modules: load order and aliases.

The dracut module runs this after it has installed the modules of the mini-initramfs:

    python3 -m initoverlayfs.build.load_order INITDIR SRCMODS RELEASE [NAME...]

Reads depmod's modules.dep, modules.softdep and modules.alias in SRCMODS and writes
INITDIR/usr/lib/initoverlayfs/{modules,aliases} for the modules that INITDIR contains;
storage_init/formats/module_tables.py describes their format, and reads them at boot. Before that,
it decompresses the named modules and those loaded with them, or all modules if no name is given.
Modules that the kernel itself cannot decompress are decompressed in any case.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from initoverlayfs.build import module_files
from initoverlayfs.machine import depmod
from initoverlayfs.machine.depmod import module_name

# Modules that a module requests from modprobe while it mounts or probes, without declaring them.
UNDECLARED = {"vfat": ("nls_cp437", "nls_ascii", "nls_iso8859_1")}

# Prefixes of aliases that name no device. Modules of the mini-initramfs may have some.
NO_DEVICES = {"cpu", "devname", "dmi", "symbol"}

# Prefix of a modalias -> the bus that its devices are on, if that has another name.
ON_BUS = {"of": "platform", "acpi": "platform"}

_WILDCARD = re.compile(r"[*?[]")


def installed(directory: Path) -> dict[str, str]:
    """Return name -> path below the directory of every module in it, compressed or not."""
    return {module_name(path): path for path in module_files.find(directory)}


class Order:
    """Find the modules to load before and after each module of the mini-initramfs.

    paths: name -> path, of the modules in the mini-initramfs; others are ignored. dependencies,
    soft_dependencies, aliases: as machine/depmod.py returns them.
    """

    def __init__(
        self,
        paths: dict[str, str],
        dependencies: dict[str, list[str]],
        soft_dependencies: dict[str, dict[str, list[str]]],
        aliases: list[tuple[str, str]],
    ) -> None:
        self._paths = paths
        self._dependencies = dependencies
        self._soft_dependencies = soft_dependencies
        self._aliases: dict[str, list[str]] = {}
        for pattern, module in aliases:
            if module in paths and not _WILDCARD.search(pattern):
                self._aliases.setdefault(pattern, []).append(module)

    def _resolve(self, word: str) -> list[str]:
        """Return the module that a soft dependency means, a name or an alias: one at most.

        If several modules have the alias, prefer the generic one: it works on every CPU, the others
        require certain instructions.
        """
        name = word.replace("-", "_")
        if name in self._paths:
            return [name]
        found = self._aliases.get(word + "-generic", []) + self._aliases.get(word, [])
        generic = [module for module in found if module.endswith("_generic")]
        return (generic or found)[:1]

    def before(self, name: str) -> list[str]:
        """Return the modules to load before a module, in load order."""
        found: dict[str, None] = {}
        self._collect(name, found, {name})
        return list(found)

    def _collect(self, name: str, found: dict[str, None], dependents: set[str]) -> None:
        """Add the modules to load before a module. dependents: those being resolved, for cycles."""
        soft = self._soft_dependencies.get(name, {}).get("pre", [])
        required = [module for word in soft for module in self._resolve(word)]
        others = [*UNDECLARED.get(name, ()), *self._dependencies.get(name, [])]
        required += [module for module in others if module in self._paths]
        for module in required:
            if module not in found and module not in dependents:
                self._collect(module, found, dependents | {module})
                found[module] = None

    def after(self, name: str) -> list[str]:
        """Return the modules to load after a module, each after its own dependencies."""
        found: dict[str, None] = {}
        for word in self._soft_dependencies.get(name, {}).get("post", []):
            for module in self._resolve(word):
                found.update(dict.fromkeys(self.before(module)))
                found[module] = None
        found.pop(name, None)
        return list(found)

    def closure(self, names: Iterable[str]) -> set[str]:
        """Return these modules and those loaded with them; ignores modules that are missing."""
        found: set[str] = set()
        for name in self._paths.keys() & set(names):
            found.update({name}, self.before(name), self.after(name))
        return found


def modules_table(paths: dict[str, str], order: Order) -> str:
    """Return the text of /usr/lib/initoverlayfs/modules. paths: as for Order."""
    lines = ["# initoverlayfs modules 1"]
    for name in sorted(paths):
        fields = (name, paths[name], " ".join(order.before(name)), " ".join(order.after(name)))
        lines.append("\t".join(fields))
    return "\n".join(lines) + "\n"


def aliases_table(modules: Iterable[str], aliases: list[tuple[str, str]]) -> bytes:
    """Return the content of /usr/lib/initoverlayfs/aliases, for these modules.

    aliases: as machine/depmod.py returns them. Leaves out aliases that name no device.
    """
    present = set(modules)
    lines = set()
    lengths: dict[str, set[int]] = {}
    for pattern, module in aliases:
        bus, colon, _ = pattern.partition(":")
        bus = bus.rstrip("*")  # acpi*:PNP0A05:*
        if module not in present or not colon or _WILDCARD.search(bus) or bus in NO_DEVICES:
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
    """Decompress modules and write both tables. Returns the exit status: 2 for wrong usage.

    Raises OSError if a file cannot be read or written.
    """
    if len(arguments) < 3:
        usage = "usage: python3 -m initoverlayfs.build.load_order INITDIR SRCMODS RELEASE [NAME...]"
        print(usage, file=sys.stderr)
        return 2
    initdir, source, release, *names = Path(arguments[0]), Path(arguments[1]), *arguments[2:]
    directory = initdir / "usr/lib/modules" / release
    paths = installed(directory)
    aliases = depmod.aliases((source / "modules.alias").read_text())
    order = Order(
        paths,
        depmod.dependencies((source / "modules.dep").read_text()),
        depmod.soft_dependencies((source / "modules.softdep").read_text()),
        aliases,
    )
    kept = module_files.kernel_decompresses(source, release) if names else set()
    always_loaded = order.closure(names)
    module_files.decompress(
        directory,
        [
            path
            for name, path in paths.items()
            if name in always_loaded or Path(path).suffix not in kept
        ],
    )
    paths = installed(directory)
    target = initdir / "usr/lib/initoverlayfs"
    target.mkdir(parents=True, exist_ok=True)
    (target / "modules").write_text(modules_table(paths, order))
    (target / "aliases").write_bytes(aliases_table(paths, aliases))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
