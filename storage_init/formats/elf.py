# SPDX-License-Identifier: MIT
"""Read the architecture of a program from its ELF header.

The sources of the format are the System V ABI for the header and include/uapi/linux/elf-em.h of
Linux for the machines; the names of architectures are the Discoverable Partitions Specification's.
"""

from storage_init.formats import const, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage_init.kernel.calls import Kernel

# Elf32_Ehdr and Elf64_Ehdr are the same up to here.
_MAGIC = const(b"\x7fELF")
_IDENT = const((("EI_CLASS", 4, "B"), ("EI_DATA", 5, "B")))
_LITTLE_ENDIAN = const((("e_machine", 18, "<H"),))
_BIG_ENDIAN = const((("e_machine", 18, ">H"),))
_ELFCLASS64 = const(2)
_ELFDATA2MSB = const(2)
SIZE = 20

# e_machine, bits, architecture
_MACHINES = const(
    (
        (3, 32, "x86"),
        (40, 32, "arm"),
        (62, 64, "x86-64"),
        (183, 64, "arm64"),
        (243, 32, "riscv32"),
        (243, 64, "riscv64"),
        (258, 64, "loongarch64"),
    )
)

# machine, program: kernels of the one may run the other besides their own.
_ALSO_RUNS = const((("x86-64", "x86"), ("arm64", "arm"), ("riscv64", "riscv32")))


def is_elf(head: bytes) -> bool:
    """Tell whether a file that starts with `head` is an ELF file."""
    return head.startswith(_MAGIC)


def architecture(head: bytes) -> str:
    """Return `x86-64`, `arm64`, `riscv64` ...; "" if it is unknown or this is no ELF file.

    head: the first SIZE bytes of the file.
    """
    if len(head) < SIZE or not is_elf(head):
        return ""
    ident = unpack(_IDENT, head)
    layout = _BIG_ENDIAN if ident["EI_DATA"] == _ELFDATA2MSB else _LITTLE_ENDIAN
    header = (unpack(layout, head)["e_machine"], 64 if ident["EI_CLASS"] == _ELFCLASS64 else 32)
    for machine, bits, name in _MACHINES:
        if (machine, bits) == header:
            return name
    return ""


def own(kernel: "Kernel") -> str:
    """Return the architecture of this program, for which the system is built; "" if unknown."""
    try:
        return architecture(head_of(kernel, "/proc/self/exe"))
    except OSError:
        return ""


def head_of(kernel: "Kernel", path: str) -> bytes:
    """Return the first SIZE bytes of a file. Raises OSError if it cannot be read."""
    fd = kernel.open(path)
    try:
        return kernel.pread(fd, 0, SIZE, path)
    finally:
        kernel.close(fd)


def runs_on(program: str, machine: str) -> bool:
    """Tell whether a machine can run a program, given their architectures; True if one is ""."""
    return not program or not machine or program == machine or (machine, program) in _ALSO_RUNS
