# SPDX-License-Identifier: MIT
"""Which architecture a program is for, by its ELF header.

Sources: the ELF header of the System V ABI; the numbers of Linux' include/uapi/linux/elf-em.h.
"""

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage_init.kernel.calls import Kernel

# Bytes of the header that are looked at.
SIZE = 20

# (e_machine, bits) -> the name that the Discoverable Partitions Specification has for it.
_NAMES = {
    (3, 32): "x86",
    (40, 32): "arm",
    (62, 64): "x86-64",
    (183, 64): "arm64",
    (243, 32): "riscv32",
    (243, 64): "riscv64",
    (258, 64): "loongarch64",
}

# What the kernels of these may run besides their own.
_ALSO = {"x86-64": "x86", "arm64": "arm", "riscv64": "riscv32"}


def is_elf(head: bytes) -> bool:
    return head[:4] == b"\x7fELF"


def architecture(head: bytes) -> str:
    """`x86-64`, `arm64`, `riscv64` ...; "" for one that is not known here, or for no ELF file.

    head: the first SIZE bytes of the file.
    """
    if len(head) < SIZE or not is_elf(head):
        return ""
    (machine,) = struct.unpack(">H" if head[5] == 2 else "<H", head[18:20])
    return _NAMES.get((machine, 64 if head[4] == 2 else 32), "")


def own(kernel: "Kernel") -> str:
    """The architecture of this program, which is that of the system it is built for; or ""."""
    try:
        return architecture(head_of(kernel, "/proc/self/exe"))
    except OSError:
        return ""


def head_of(kernel: "Kernel", path: str) -> bytes:
    """The first SIZE bytes of a file. OSError if it cannot be read."""
    fd = kernel.open(path)
    try:
        return kernel.pread(fd, 0, SIZE, path)
    finally:
        kernel.close(fd)


def runs_on(program: str, machine: str) -> bool:
    """Whether a program may run there. True where one of the two architectures is not known."""
    return not program or not machine or program in (machine, _ALSO.get(machine))
