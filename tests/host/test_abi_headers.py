# SPDX-License-Identifier: MIT
"""The constants of storage_init.kernel.abi against the kernel's and the C library's headers."""

import subprocess
from pathlib import Path

from storage_init.kernel import abi

HEADERS = (
    *("asm/errno.h", "fcntl.h", "dirent.h", "linux/loop.h", "linux/magic.h", "linux/module.h"),
    *(
        "linux/fiemap.h",
        "linux/fs.h",
        "linux/reboot.h",
        "linux/wait.h",
        "sys/mount.h",
        "sys/stat.h",
    ),
)

# In no header: the multicast groups of lib/kobject_uevent.c and of systemd's sd-device.
NOT_IN_HEADERS = {"UEVENT_KERNEL", "UEVENT_UDEV"}

REBOOT = {
    "reboot": "LINUX_REBOOT_CMD_RESTART",
    "poweroff": "LINUX_REBOOT_CMD_POWER_OFF",
    "halt": "LINUX_REBOOT_CMD_HALT",
}


def compiled(directory: Path, names: "list[str]") -> "dict[str, int]":
    """Return what a C program prints for each of these names."""
    includes = "\n".join(f"#include <{header}>" for header in HEADERS)
    lines = "\n".join(f'printf("{name} %lld\\n", (long long)({name}));' for name in names)
    source = directory / "values.c"
    source.write_text(
        f"#define _GNU_SOURCE\n#include <stdio.h>\n{includes}\nint main(void) {{\n{lines}\n}}\n"
    )
    program = directory / "values"
    subprocess.run(["gcc", "-o", str(program), str(source)], check=True)
    output = subprocess.run([str(program)], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {name: int(value) for name, value in map(str.split, output.splitlines())}


def test_every_constant(tmp_path: Path) -> None:
    names = {name for name in vars(abi) if name.isupper()} - NOT_IN_HEADERS
    constants = {name: vars(abi)[name] for name in names}
    reboot = constants.pop("REBOOT")
    found = compiled(tmp_path, [*constants, *REBOOT.values()])
    assert {name: found[name] for name in constants} == constants
    assert {how: found[name] for how, name in REBOOT.items()} == reboot
