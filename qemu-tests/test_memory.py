# SPDX-License-Identifier: MIT
"""Little memory, many block devices, tables of many modules: the image boots."""

from pathlib import Path

import pytest
from test_tiny import assert_booted

from harness import platforms
from harness.machine import Drive
from harness.mini import Mini
from harness.tiny import Tiny
from initoverlayfs.build import load_order
from initoverlayfs.machine import depmod
from storage_init.formats import module_tables

pytestmark = [pytest.mark.platforms("uml"), pytest.mark.timeout(1000)]

CROWD = (Path(platforms.__file__).parent / "inside/crowd.c").read_text()


def kernel_modules() -> Path:
    """Return the directory with the modules of the kernel of user-mode Linux."""
    (source,) = Path("/usr/lib/uml/modules").iterdir()
    return source


def all_modules(mini: Mini, drivers: int = 0) -> Mini:
    """Return a copy whose tables list every module of the kernel, and this many drivers more."""
    source = kernel_modules()
    paths = load_order.installed(source)
    aliases = depmod.aliases((source / "modules.alias").read_text())
    order = load_order.Order(
        paths,
        depmod.dependencies((source / "modules.dep").read_text()),
        depmod.soft_dependencies((source / "modules.softdep").read_text()),
        aliases,
    )
    for number in range(drivers):
        paths[f"driver_{number}"] = f"kernel/drivers/net/ethernet/driver_{number}.ko"
        patterns = [f"pci:v0000{number:04X}d{sub:08X}sv*sd*bc*sc*i*" for sub in range(6)]
        aliases += [(pattern, f"driver_{number}") for pattern in patterns]
    modules = load_order.modules_table(paths, order).encode()
    tables = (modules, load_order.aliases_table(paths, aliases))
    names = (module_tables.MODULES, module_tables.ALIASES)
    return mini.with_files({name.lstrip("/"): text for name, text in zip(names, tables)})


def crowded(mini: Mini, directory: Path, blocks: int, spread: int = 0) -> Mini:
    """Return a copy that makes brd devices, and device-mapper devices on the first of them."""
    files = {
        name: (kernel_modules() / "kernel/drivers" / path).read_bytes()
        for name, path in (("brd.ko", "block/brd.ko"), ("dm-mod.ko", "md/dm-mod.ko"))
    }
    source = CROWD.replace("BLOCKS", str(blocks)).replace("SPREAD", str(spread))
    return mini.with_files(files).behind(source, directory)


def test_128_mib(tiny: Tiny) -> None:
    """A machine with 128 MiB boots, also with the tables of 4,000 modules."""
    drives = [Drive(tiny.disk())]
    assert_booted(tiny.boot(tiny.configured(), drives, memory=128))
    outcome = tiny.boot(all_modules(tiny.configured(), 4000), drives, memory=128)
    assert_booted(outcome)
    assert not [line for line in outcome.lines if "MemoryError" in line]


def test_tables_of_all_modules(tiny: Tiny) -> None:
    """With tables that list every module of this kernel, the image boots."""
    outcome = tiny.boot(all_modules(tiny.configured()), [Drive(tiny.disk())])
    assert_booted(outcome)
    assert not [line for line in outcome.lines if "MemoryError" in line]


@pytest.mark.slow
def test_10000_block_devices(tiny: Tiny) -> None:
    """With 10,000 device-mapper devices, which storage-init reads, the image boots.

    storage-init does not read brd devices, as no boot filesystem lies on a RAM disk. The kernel
    requires more than 512 MiB for the devices.
    """
    mini = crowded(tiny.configured(), tiny.directory, 1, 10000)
    outcome = tiny.boot(mini, [Drive(tiny.disk())], memory=6144, timeout=900)
    assert_booted(outcome)
    assert not [line for line in outcome.lines if "MemoryError" in line]


def test_thousands_of_probed_block_devices(tiny: Tiny) -> None:
    """With 2,000 device-mapper devices, which storage-init reads, the image boots."""
    mini = crowded(tiny.configured(), tiny.directory, 1, 2000)
    outcome = tiny.boot(mini, [Drive(tiny.disk())], "rd.debug loglevel=8", memory=2048)
    assert_booted(outcome)
    assert sum("seen /dev/dm-" in line for line in outcome.lines) == 2000
