# SPDX-License-Identifier: MIT
"""The signature of the root hash: the kernel's trusted keys decide, whatever is in stage 1."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

import pytest

from harness import bootdisk, debian
from harness.disk import BOOT_UUID
from harness.machine import Drive
from harness.mini import Raw
from harness.privilege import run
from harness.running import Ending
from harness.tiny import Outcome, Tiny, image
from initoverlayfs.build import signature
from initoverlayfs.machine.build_settings import InstallSettings
from storage_init.formats.binding import SIGNATURE

# the first case of a run also builds the guest
pytestmark = [pytest.mark.timeout(900), pytest.mark.platforms("qemu")]

# Debian's package ovmf
FIRMWARE = Path("/usr/share/OVMF")

# Who put a certificate into the firmware's db; any will do.
OWNER = "1f0e0000-0000-4000-8000-00000000c027"

# The id of the image that was there before.
OTHER = "1f0e0000-0000-4000-8000-00000000071e"

REQUIRED = "dm_verity.require_signatures=1"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the key and the certificate of `trusted` and of `stranger`."""
    directory = tmp_path_factory.mktemp("keys")
    for name in ("trusted", "stranger"):
        line = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-sha256", "-nodes"]
        line += ["-subj", f"/CN=initoverlayfs {name}", "-days", "36500"]
        line += ["-keyout", str(directory / f"{name}.key")]
        run([*line, "-out", str(directory / f"{name}.crt")])
    return directory


@pytest.fixture(scope="module")
def firmware(keys: Path) -> Sequence[str]:
    """UEFI firmware with the certificate of `trusted` in its db: QEMU's options."""
    variables = keys / "variables.fd"
    line = ["virt-fw-vars", "--input", str(FIRMWARE / "OVMF_VARS_4M.fd")]
    run([*line, "--output", str(variables), "--add-db", OWNER, str(keys / "trusted.crt")])
    pflash = "if=pflash,format=raw,snapshot=on"
    code = FIRMWARE / "OVMF_CODE_4M.fd"
    return ["-drive", f"{pflash},unit=0,file={code}", "-drive", f"{pflash},unit=1,file={variables}"]


@pytest.fixture(scope="module")
def tree(deb: Path) -> Iterator[Path]:
    """A Debian tree to install in, where only a verified image may boot."""
    with debian.tree("signed-tree", deb) as directory:
        debian.small(directory, "verity require\n")
        yield directory


def boot(
    tiny: Tiny,
    signed: Optional[bytes],
    extra: Sequence[str] = (),
    cmdline: str = "",
    configuration: str = "verity require\n",
    tree: "Optional[tuple[Path, str]]" = None,
) -> Outcome:
    """Boot the image with its hash tree, and this signature of it in the mini-initramfs."""
    path, words = tree or tiny.with_hash_tree(tiny.image)
    mini = tiny.identified(path, words, more=configuration)
    if signed is not None:
        mini = mini.with_files({SIGNATURE.lstrip("/"): signed})
    other = tiny.directory / "other.img"
    if not other.exists():
        image(other, tiny.greeting, OTHER)
    disk = tiny.disk(files={tiny.name: path, tiny.name + ".previous": other})
    return tiny.boot(mini, [Drive(disk)], cmdline, extra=extra)


def sign(keys: Path, name: str, root_hash: str) -> bytes:
    """What initoverlayfs-install puts into the mini-initramfs, by the key of this name."""
    settings = InstallSettings()
    settings.verity_key, settings.verity_cert = f"{keys}/{name}.key", f"{keys}/{name}.crt"
    return signature.sign(root_hash, settings)


def assert_refused(outcome: Outcome, why: str) -> None:
    """A line says why, and nothing boots."""
    (line,) = [line for line in outcome.lines if line.startswith("image: ")]
    assert "set up initoverlayfs: verity 1 /dev/loop0 " in line and re.search(why, line), line
    assert outcome.ending is Ending.RESET and not outcome.greeted, outcome.console


UNTRUSTED = (
    ": Required key not available: the root hash is signed by no key that the kernel trusts$"
)


def test_a_key_that_the_kernel_does_not_trust(verified: Tiny, keys: Path) -> None:
    """No image boots; where that is allowed, the next attempt follows."""
    path, words = tree = verified.with_hash_tree(verified.image)
    signed = sign(keys, "stranger", words.split()[6])
    assert_refused(boot(verified, signed, tree=tree), UNTRUSTED)
    outcome = boot(verified, signed, configuration="", tree=tree)
    assert outcome.greeted and outcome.boot["attempt"] == "previous"


def test_a_signature_that_is_none(verified: Tiny) -> None:
    """What is no PKCS#7 is refused as such."""
    assert_refused(boot(verified, b"hello"), "the signature is not one of this root hash$")


def test_a_kernel_that_requires_a_signature(verified: Tiny) -> None:
    """It refuses an image that it would boot otherwise, and the line says what to do."""
    why = "the kernel requires a signature of the root hash: build with --verity-key$"
    assert_refused(boot(verified, None, cmdline=REQUIRED), why)


def test_a_trusted_key(verified: Tiny, keys: Path, firmware: Sequence[str]) -> None:
    """The firmware's db names the certificate: the kernel boots what its key has signed."""
    path, words = tree = verified.with_hash_tree(verified.image)
    root_hash = words.split()[6]
    signed = sign(keys, "trusted", root_hash)
    outcome = boot(verified, signed, firmware, REQUIRED, tree=tree)
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert (outcome.boot["attempt"], outcome.boot["verity"]) == ("image", root_hash)


def test_a_trusted_key_has_signed_another_image(
    verified: Tiny, keys: Path, firmware: Sequence[str]
) -> None:
    """A signature says something of one root hash only; nor is another key's one taken."""
    path, words = tree = verified.with_hash_tree(verified.image)
    other = sign(keys, "trusted", "0" * 64)
    assert_refused(boot(verified, other, firmware, tree=tree), "not one of this root hash$")
    stranger = sign(keys, "stranger", words.split()[6])
    assert_refused(boot(verified, stranger, firmware, tree=tree), UNTRUSTED)


def installed(verified: Tiny, tree: Path, key: Path) -> "tuple[Raw, Drive]":
    """What initoverlayfs-install builds and signs with this key: mini-initramfs and boot disk."""
    certificate = ["--verity-cert", str(key.with_suffix(".crt"))]
    signing = ["--verity", "--verity-key", str(key), *certificate]
    debian.outside(tree, "-f", "--no-hostonly", *signing)
    assert ": wrong: " not in debian.outside(tree, "--verify")
    initrd = tree / f"boot/initrd.img-{verified.platform.release}"
    path = verified.directory / key.stem
    disk = bootdisk.make(path, "ext4", {verified.name: tree / "boot" / verified.name}, BOOT_UUID)
    return Raw(initrd.read_bytes()), Drive(disk)


def test_what_initoverlayfs_install_has_signed(
    verified: Tiny, tree: Path, keys: Path, firmware: Sequence[str]
) -> None:
    """Debian's systemd starts from it; signed by another key, the kernel refuses the same image."""
    mini, disk = installed(verified, tree, keys / "trusted.key")
    systemd = r"systemd\[1\]: "
    outcome = verified.boot(mini, [disk], REQUIRED, extra=firmware, until=systemd, memory=1024)
    assert ", verified by root hash " in outcome.console, outcome.console
    mini, disk = installed(verified, tree, keys / "stranger.key")
    assert_refused(verified.boot(mini, [disk], extra=firmware), UNTRUSTED)


def test_a_table_that_the_kernel_does_not_take(verified: Tiny, keys: Path) -> None:
    """The reason is the kernel's to say: with a signature, it need not be the signature."""
    path, words = verified.with_hash_tree(verified.image)
    root_hash = words.split()[6]
    signed = sign(keys, "stranger", root_hash)
    table = words.replace(root_hash, root_hash + "00")
    outcome = boot(verified, signed, tree=(path, table))
    said = ": Invalid argument: the kernel's message before this one gives the reason$"
    assert_refused(outcome, said)
    assert "device-mapper: table: " in outcome.console and "Invalid root digest" in outcome.console
