# SPDX-License-Identifier: MIT
"""Which module computes a hash with this CPU's own instructions.

To check a module's signature, the kernel hashes the module, and until a faster way is loaded it
does that in plain C. So this one comes first, and pays for itself with those that follow.

The CPU's modalias has its features as hexadecimal numbers of four digits, each after a comma, as
in `cpu:type:x86,ven0002fam0019mod0001:feature:,0000,0089`. Source: print_cpu_modalias in
drivers/base/cpu.c. /proc/cpuinfo has them by name, but up to Linux 5.15 at least, who reads it
may wait 10 ms, for the frequencies of the CPUs.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

    from storage_init.kernel.calls import Kernel

MODALIAS = "/sys/devices/system/cpu/modalias"

# The sha256 for any CPU, before and since Linux 6.16. dm-verity takes it, and names it nowhere.
GENERIC = ["sha256_generic", "sha256"]

# kind of CPU -> (hash, feature, module), the faster first. Features of x86: word * 32 + bit, of
# arch/x86/include/asm/cpufeatures.h. Of arm64: the bit, of arch/arm64/include/uapi/asm/hwcap.h.
# SSSE3 is the least that the modules of x86 take; they choose of what else there is themselves.
_FAST = {
    "x86": (
        ("sha256", "0089", "sha256_ssse3"),  # ssse3
        ("sha512", "0089", "sha512_ssse3"),
    ),
    "aarch64": (
        ("sha256", "0006", "sha2_ce"),  # sha2
        ("sha256", "0001", "sha256_arm64"),  # asimd
        ("sha512", "0015", "sha512_ce"),  # sha512
        ("sha512", "0001", "sha512_arm64"),
    ),
}


def fast(kernel: "Kernel") -> "Dict[str, str]":
    """hash -> module, for the hashes that this CPU has instructions for; {} where nothing tells."""
    try:
        text = kernel.read_text(MODALIAS)
    except OSError:
        return {}
    found = {}
    for kind in _FAST:
        if text.startswith("cpu:type:" + kind):
            for name, feature, module in _FAST[kind]:
                if "," + feature in text and name not in found:
                    found[name] = module
    return found
