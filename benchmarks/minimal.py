# SPDX-License-Identifier: MIT
"""Build initramfs archives from the mini-initramfs: one for the C program, one for one machine.

The modules that a machine loads in stage 1 come from the kernel's log: with `initcall_debug` the
kernel names each module when it starts it, no matter which program loads the module.
"""

import lzma
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from harness import cpio
from harness.machine import Options
from harness.privilege import run
from harness.vm import VM
from storage_init.formats.module_tables import MODULES

_SOURCE = Path(__file__).resolve().parent / "minimal.c"
_WORDS = " initcall_debug ignore_loglevel"
_STARTED = re.compile(r"calling  \S+ \[(\w+)\]")
_LEFT = "initoverlayfs: exec "


def loaded(machine: Options) -> list[str]:
    """Boot a machine; return the modules that it starts in stage 1, in order.

    Modules without an init function, which are libraries, are missing.
    """
    with VM(replace(machine, cmdline=machine.cmdline + _WORDS)) as vm:
        vm.wait_console(_LEFT + ".*\n", machine.timeout)
        return started(vm.console)


def started(console: str) -> list[str]:
    """Return the modules that `initcall_debug` names on a console between /init and stage 2."""
    stage1 = console.partition("Run /init")[2].partition(_LEFT)[0]
    return list(dict.fromkeys(_STARTED.findall(stage1)))


def modules(entries: Iterable[cpio.Entry]) -> dict[str, cpio.Entry]:
    """Return the kernel modules in an initramfs, decompressed, by the kernel's names for them."""
    found = [_unpacked(one) for one in entries if re.search(r"\.ko(\.|$)", one.name)]
    return {Path(one.name).stem.replace("-", "_"): one for one in found}


def _unpacked(module: cpio.Entry) -> cpio.Entry:
    if not module.name.endswith(".xz"):
        return module
    return replace(module, name=module.name[: -len(".xz")], data=lzma.decompress(module.data))


def dependencies(module: cpio.Entry) -> list[str]:
    """Return the modules that a module depends on, from its .modinfo section."""
    match = re.search(rb"\0depends=([^\0]*)\0", module.data)
    names = match.group(1).decode() if match else ""
    return [name.replace("-", "_") for name in names.split(",") if name]


def in_order(names: Iterable[str], found: "dict[str, cpio.Entry]") -> list[str]:
    """Return modules and their dependencies, each module after its dependencies.

    found: the modules to choose from, by name.
    """
    order: list[str] = []
    for name in names:
        missing = [one for one in dependencies(found[name]) if one not in order]
        order += [one for one in [*in_order(missing, found), name] if one not in order]
    return order


def program(entries: Sequence[cpio.Entry], names: Sequence[str], image: str, path: Path) -> Path:
    """Write the initramfs of the C program (minimal.c); return its path.

    entries: the initramfs to copy modules from. names: the modules to load. image: the path of the
    EROFS image in the ext4 filesystem on the first partition of the first disk.
    """
    binary = path.with_name(path.name + ".init")
    macros = {"BOOT": "/dev/vda1", "BOOT_TYPE": "ext4", "IMAGE": image}
    line = ["musl-gcc", "-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror"]
    line += [f'-D{name}="{value}"' for name, value in macros.items()]
    run([*line, "-o", str(binary), str(_SOURCE)])
    found = modules(entries)
    order = in_order(names, found)
    files = [cpio.entry("m", mode=cpio.DIRECTORY | 0o755)]
    files += [cpio.entry(f"m/{name}.ko", found[name].data) for name in order]
    files.append(cpio.entry("modules", "".join(f"/m/{name}.ko\n" for name in order).encode()))
    files.append(cpio.entry("init", binary.read_bytes(), cpio.REGULAR | 0o755))
    return compressed(files, path)


def hostonly(entries: Sequence[cpio.Entry], names: Sequence[str], path: Path) -> Path:
    """Write an initramfs whose only modules are `names` and their dependencies, decompressed."""
    found = modules(entries)
    (table,) = [one for one in entries if one.name == MODULES.lstrip("/")]
    files = {table.name: table.data.replace(b".ko.xz\t", b".ko\t")}
    rest = cpio.without(list(entries), lambda name: ".ko" in name)
    wanted = [found[name] for name in in_order(names, found)]
    return compressed([*cpio.changed(rest, files), *wanted], path)


def compressed(entries: list[cpio.Entry], path: Path) -> Path:
    """Write an initramfs, compressed with the options that dracut uses; return its path."""
    with path.open("wb") as file:
        line = ["zstd", "-q", "-15", "-T1", "-c"]
        subprocess.run(line, input=cpio.write(entries), stdout=file, check=True)
    return path
