# SPDX-License-Identifier: MIT
"""Choose the modules that compute hashes with instructions of this CPU.

The kernel hashes each module to check its signature, in plain C until it has a faster
implementation. So storage-init loads the faster one before all other modules.

The modalias of the CPU lists its features as hexadecimal numbers of four digits, each after a
comma: `cpu:type:x86,ven0002fam0019mod0001:feature:,0000,0089`. Source: print_cpu_modalias() in
drivers/base/cpu.c. /proc/cpuinfo lists them by name, but at least up to Linux 5.15, reading it can
take 10 ms, because the kernel determines the CPU frequencies.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict

    from storage_init.kernel.calls import Kernel

MODALIAS = "/sys/devices/system/cpu/modalias"

# The portable sha256 before and since Linux 6.16. dm-verity requires it but declares no dependency.
GENERIC = ["sha256_generic", "sha256"]

# CPU type -> (hash, feature, module), the fastest first. Features of x86 are word * 32 + bit, see
# arch/x86/include/asm/cpufeatures.h. Those of arm64 are bits, see
# arch/arm64/include/uapi/asm/hwcap.h.
# The modules of x86 require SSSE3 and use AVX or SHA instructions if the CPU has them.
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
    """Return the module for each hash that this CPU accelerates; {} if its features are unknown."""
    try:
        text = kernel.read_text(MODALIAS)
    except OSError:
        return {}
    found = {}
    for cpu in _FAST:
        if text.startswith("cpu:type:" + cpu):
            for name, feature, module in _FAST[cpu]:
                if "," + feature in text and name not in found:
                    found[name] = module
    return found
