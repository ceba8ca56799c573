# SPDX-License-Identifier: MIT
"""The tables of kernel modules, from depmod's files to storage-init's parsers."""

import fnmatch
import lzma
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from initoverlayfs.build import load_order
from initoverlayfs.machine import depmod
from storage_init.formats.module_tables import Aliases, Modules

DEP = """\
kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/fs/mbcache.ko.xz kernel/lib/crc16.ko.xz
kernel/fs/jbd2/jbd2.ko.xz:
kernel/fs/mbcache.ko.xz:
kernel/lib/crc16.ko.xz:
kernel/fs/erofs/erofs.ko.xz: kernel/lib/libcrc32c.ko.xz
kernel/lib/libcrc32c.ko.xz:
kernel/crypto/crc32c_generic.ko.xz:
kernel/arch/x86/crypto/crc32c-intel.ko.xz:
kernel/fs/fat/vfat.ko.xz: kernel/fs/fat/fat.ko.xz
kernel/fs/fat/fat.ko.xz:
kernel/fs/nls/nls_ascii.ko.xz:
kernel/drivers/usb/host/uhci-hcd.ko.xz: kernel/drivers/usb/core/usbcore.ko.xz
kernel/drivers/usb/core/usbcore.ko.xz:
"""
SOFTDEP = """\
# Soft dependencies extracted from modules themselves.
softdep ext4 pre: crypto-crc32c
softdep jbd2 pre: crypto-crc32c
softdep libcrc32c pre: crypto-crc32c
softdep uhci_hcd pre: ehci_pci post: nls-ascii
softdep cifs gcm
"""
ALIAS = """\
alias crypto-crc32c crc32c_intel
alias crypto-crc32c-generic crc32c_generic
alias fs-ext4 ext4
alias cpu:type:x86,ven*fam*mod*:feature:*0094* crc32c_intel
alias pci:v*d*sv*sd*bc0Csc03i00* uhci_hcd
alias acpi*:PNP0D10:* uhci_hcd
alias pci:v00008086d* absent
"""


def order(*absent: str) -> load_order.Order:
    paths = {name: name + ".ko" for name in depmod.dependencies(DEP) if name not in absent}
    soft = depmod.soft_dependencies(SOFTDEP)
    return load_order.Order(paths, depmod.dependencies(DEP), soft, depmod.aliases(ALIAS))


def test_soft_dependencies_come_before_hard_ones() -> None:
    assert order().before("ext4") == ["crc32c_generic", "crc16", "mbcache", "jbd2"]
    # libcrc32c requires an implementation of crc32c, a soft dependency of this hard dependency.
    assert order().before("erofs") == ["crc32c_generic", "libcrc32c"]


def test_missing_module_is_left_out() -> None:
    assert order("jbd2", "crc32c_generic").before("ext4") == ["crc32c_intel", "crc16", "mbcache"]


def test_undeclared_dependencies_of_vfat() -> None:
    assert order().before("vfat") == ["nls_ascii", "fat"]


def test_modules_to_load_afterwards() -> None:
    assert order().before("uhci_hcd") == ["usbcore"]
    assert order().after("uhci_hcd") == ["nls_ascii"]


def test_cycle_of_soft_dependencies() -> None:
    soft = {"a": {"pre": ["b"], "post": []}, "b": {"pre": ["a"], "post": []}}
    assert load_order.Order({"a": "a.ko", "b": "b.ko"}, {}, soft, []).before("a") == ["b"]


def tree(directory: Path, suffix: str = "") -> "tuple[Path, Path]":
    """Return the kernel's directory with depmod's files, and a mini-initramfs with its modules."""
    source, initdir = directory / "source", directory / "initdir"
    source.mkdir()
    (source / "modules.dep").write_text(DEP)
    (source / "modules.softdep").write_text(SOFTDEP)
    (source / "modules.alias").write_text(ALIAS)
    for line in DEP.splitlines():
        path = initdir / "usr/lib/modules/6.1" / line.partition(":")[0][: -len(".xz")]
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.name.encode()
        path.with_name(path.name + suffix).write_bytes(
            lzma.compress(content, check=lzma.CHECK_CRC32) if suffix else content
        )
    return source, initdir


def test_named_modules_and_their_dependencies_are_decompressed(tmp_path: Path) -> None:
    source, initdir = tree(tmp_path, ".xz")
    (source / "config").write_text("CONFIG_MODULE_COMPRESS_XZ=y\nCONFIG_MODULE_DECOMPRESS=y\n")
    assert load_order.main([str(initdir), str(source), "6.1", "erofs", "not-there"]) == 0
    modules = Modules((initdir / "usr/lib/initoverlayfs/modules").read_bytes())
    decompressed = {"erofs", "libcrc32c", "crc32c_generic"}
    for name in depmod.dependencies(DEP):
        path = modules[name][0]
        file = initdir / "usr/lib/modules/6.1" / path
        assert file.exists() and path.endswith(".ko" if name in decompressed else ".ko.xz")
        assert (file.read_bytes() == file.name.encode()) == (name in decompressed)
    assert modules["ext4"][1] == ["crc32c_generic", "crc16", "mbcache", "jbd2"]


def test_all_modules_are_decompressed_if_the_kernel_cannot(tmp_path: Path) -> None:
    source, initdir = tree(tmp_path, ".xz")
    (source / "config").write_text("CONFIG_MODULE_COMPRESS_XZ=y\n# CONFIG_MODULE_DECOMPRESS is not")
    assert load_order.main([str(initdir), str(source), "6.1", "erofs"]) == 0
    assert not list(initdir.rglob("*.xz")) and len(list(initdir.rglob("*.ko"))) == 13


def test_tables_are_read_back(tmp_path: Path) -> None:
    source, initdir = tree(tmp_path)
    assert load_order.main([str(initdir), str(source), "6.1"]) == 0
    tables = initdir / "usr/lib/initoverlayfs"
    modules = Modules((tables / "modules").read_bytes())
    assert modules["erofs"] == ("kernel/fs/erofs/erofs.ko", ["crc32c_generic", "libcrc32c"], [])
    assert modules["crc32c_intel"][0] == "kernel/arch/x86/crypto/crc32c-intel.ko"
    found = Aliases((tables / "aliases").read_bytes())
    assert sorted(found.buses) == ["acpi", "pci", "platform"]
    assert found.lookup("pci:v00008086d00007020sv00000000sd00000000bc0Csc03i00") == ["uhci_hcd"]
    assert found.lookup("acpi:PNP0D10:") == ["uhci_hcd"]
    assert found.lookup("cpu:type:x86,ven0000fam0006mod0000:feature:,0094,") == []


DEVICE_TREE = """\
alias of:N*T*Cvirtio,mmio virtio_mmio
alias of:N*T*Cvirtio,mmioC* virtio_mmio
alias of:N*T*Carm,pl180 mmci
alias platform:sdhci-arasan sdhci_arasan
alias acpi*:LNRO0005:* virtio_mmio
alias acpi*:PNP0D40:* sdhci_acpi
"""
DRIVERS = ("virtio_mmio", "sdhci_arasan", "sdhci_acpi")


def platform_table() -> Aliases:
    return Aliases(load_order.aliases_table(DRIVERS, depmod.aliases(DEVICE_TREE)))


def test_device_tree_devices_are_on_the_platform_bus() -> None:
    found = platform_table()
    assert sorted(found.buses) == ["acpi", "of", "platform"]
    # Name and type come first, then all compatible strings; a driver may match any of these.
    assert found.lookup("of:Nvirtio_mmioT(null)Cvirtio,mmio") == ["virtio_mmio"]
    assert found.lookup("of:NxT(null)Cacme,oneCvirtio,mmioCacme,two") == ["virtio_mmio"]
    assert found.lookup("of:NxT(null)Cvirtio,mmio2") == []
    assert found.lookup("of:NmmcT(null)Carm,pl180") == [], "its driver is not in the table"


def test_acpi_devices_match_by_each_of_their_ids() -> None:
    found = platform_table()
    assert found.lookup("acpi:LNRO0005:") == ["virtio_mmio"]
    assert found.lookup("acpi:80860F14:PNP0D40:") == ["sdhci_acpi"]
    assert found.lookup("acpi:PNP0D400:") == []


def test_platform_devices_match_by_name() -> None:
    assert platform_table().lookup("platform:sdhci-arasan") == ["sdhci_arasan"]
    assert platform_table().lookup("platform:sdhci") == []


def test_buses_without_a_driver_are_left_out() -> None:
    patterns = depmod.aliases("alias pci:v*d* ahci\nalias of:N*T*Carm,pl180 mmci\n")
    assert sorted(Aliases(load_order.aliases_table(["ahci"], patterns)).buses) == ["pci"]


def test_wrong_usage_returns_2() -> None:
    assert load_order.main([]) == 2


PIECES = st.sampled_from(["*", "?", "[0-9]", "a", "b", "0", "1", "x"])
PATTERNS = st.lists(st.lists(PIECES, max_size=6).map("".join), max_size=8)


@given(PATTERNS, st.text("ab01x", max_size=8))
def test_lookup_agrees_with_fnmatch(patterns: "list[str]", text: str) -> None:
    lines = [("pci:" + pattern, f"m{number}") for number, pattern in enumerate(patterns)]
    table = load_order.aliases_table([module for _, module in lines], lines)
    expected = {module for pattern, module in lines if fnmatch.fnmatchcase("pci:" + text, pattern)}
    assert set(Aliases(table).lookup("pci:" + text)) == expected
