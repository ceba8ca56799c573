# SPDX-License-Identifier: MIT
from support import make

from storage_init.devices import hashes

X86 = "cpu:type:x86,ven0002fam0019mod0001:feature:"


def fast(text):
    _, kernel, _, _ = make({hashes.MODALIAS: text.encode() + b"\n"})
    return hashes.fast(kernel)


def test_modules_for_the_features_of_a_cpu():
    both = {"sha256": "sha256_ssse3", "sha512": "sha512_ssse3"}
    assert fast(X86 + ",0000,0089,009C,0125,013D") == both
    assert fast(X86 + ",0089") == both
    arm = "cpu:type:aarch64:feature:,0000"
    both = {"sha256": "sha256_arm64", "sha512": "sha512_arm64"}
    assert fast(arm + ",0001") == both
    assert fast(arm + ",0001,0006,0015") == {"sha256": "sha2_ce", "sha512": "sha512_ce"}
    assert fast(arm + ",0001,0006") == {"sha256": "sha2_ce", "sha512": "sha512_arm64"}


def test_no_module_without_the_feature():
    # a feature number has another meaning on another CPU type
    for text in (
        X86 + ",0000,0006,0001,0015",
        X86 + ",1089",
        "cpu:type:aarch64:feature:,0089",
        "cpu:type:riscv64:feature:,0001",
        X86,
        "cpu:type:x86",
        "pci:type:x86:feature:,0089",
        ":::::",
        "",
    ):
        assert fast(text) == {}, text
    assert hashes.fast(make()[1]) == {}
