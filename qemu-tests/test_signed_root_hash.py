# SPDX-License-Identifier: MIT
"""The kernel accepts a signed root hash only if it trusts the key of the signature."""

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

# The first test of a run also builds the guest.
pytestmark = [pytest.mark.timeout(900), pytest.mark.platforms("qemu")]

# The firmware of Debian's package ovmf.
FIRMWARE = Path("/usr/share/OVMF")

# The owner of the certificate in the firmware's db. Any UUID is accepted.
OWNER = "1f0e0000-0000-4000-8000-00000000c027"

# The ID of the previous image.
OTHER = "1f0e0000-0000-4000-8000-00000000071e"

REQUIRED = "dm_verity.require_signatures=1"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a directory with the key and the certificate of `trusted` and of `stranger`."""
    directory = tmp_path_factory.mktemp("keys")
    for name in ("trusted", "stranger"):
        line = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-sha256", "-nodes"]
        line += ["-subj", f"/CN=initoverlayfs {name}", "-days", "36500"]
        line += ["-keyout", str(directory / f"{name}.key")]
        run([*line, "-out", str(directory / f"{name}.crt")])
    return directory


@pytest.fixture(scope="module")
def firmware(keys: Path) -> Sequence[str]:
    """Add the certificate of `trusted` to the db of UEFI firmware; return QEMU's options."""
    variables = keys / "variables.fd"
    line = ["virt-fw-vars", "--input", str(FIRMWARE / "OVMF_VARS_4M.fd")]
    run([*line, "--output", str(variables), "--add-db", OWNER, str(keys / "trusted.crt")])
    pflash = "if=pflash,format=raw,snapshot=on"
    code = FIRMWARE / "OVMF_CODE_4M.fd"
    return ["-drive", f"{pflash},unit=0,file={code}", "-drive", f"{pflash},unit=1,file={variables}"]


@pytest.fixture(scope="module")
def tree(deb: Path) -> Iterator[Path]:
    """Make a Debian tree whose configuration says `verity require`."""
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
    """Boot an image with a hash tree, and with this signature in the mini-initramfs.

    tree: the image and the words of its hash tree; the tiny image if None. extra: QEMU's options.
    """
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
    """Sign a root hash with the key of this name, as initoverlayfs-install does."""
    settings = InstallSettings()
    settings.verity_key, settings.verity_cert = f"{keys}/{name}.key", f"{keys}/{name}.crt"
    return signature.sign(root_hash, settings)


def assert_refused(outcome: Outcome, why: str) -> None:
    """Assert that one line gives the reason, and that no attempt boots."""
    (line,) = [line for line in outcome.lines if line.startswith("image: ")]
    assert "set up initoverlayfs: verity 1 /dev/loop0 " in line and re.search(why, line), line
    assert outcome.ending is Ending.RESET and not outcome.greeted, outcome.console


UNTRUSTED = (
    ": Required key not available: the root hash is signed by no key that the kernel trusts$"
)


def test_untrusted_key_is_refused(verified: Tiny, keys: Path) -> None:
    """If the kernel does not trust the key, no image boots with `verity require`.

    Without that setting, the previous image boots.
    """
    path, words = tree = verified.with_hash_tree(verified.image)
    signed = sign(keys, "stranger", words.split()[6])
    assert_refused(boot(verified, signed, tree=tree), UNTRUSTED)
    outcome = boot(verified, signed, configuration="", tree=tree)
    assert outcome.greeted and outcome.boot["attempt"] == "previous"


@pytest.mark.slow
def test_malformed_signature_is_refused(verified: Tiny) -> None:
    """If the signature is not in PKCS#7 format, one line says that it does not fit."""
    assert_refused(boot(verified, b"hello"), "the signature is not one of this root hash$")


def test_missing_signature_is_refused(verified: Tiny) -> None:
    """If the kernel requires a signature and there is none, one line names the option to add."""
    why = "the kernel requires a signature of the root hash: build with --verity-key$"
    assert_refused(boot(verified, None, cmdline=REQUIRED), why)


def test_trusted_key_boots(verified: Tiny, keys: Path, firmware: Sequence[str]) -> None:
    """If the firmware's db contains the certificate, an image signed with its key boots."""
    path, words = tree = verified.with_hash_tree(verified.image)
    root_hash = words.split()[6]
    signed = sign(keys, "trusted", root_hash)
    outcome = boot(verified, signed, firmware, REQUIRED, tree=tree)
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert (outcome.boot["attempt"], outcome.boot["verity"]) == ("image", root_hash)


def test_signature_of_another_image_is_refused(
    verified: Tiny, keys: Path, firmware: Sequence[str]
) -> None:
    """If a trusted key has signed another root hash, the image is refused.

    If an untrusted key has signed the right root hash, the image is refused too.
    """
    path, words = tree = verified.with_hash_tree(verified.image)
    other = sign(keys, "trusted", "0" * 64)
    assert_refused(boot(verified, other, firmware, tree=tree), "not one of this root hash$")
    stranger = sign(keys, "stranger", words.split()[6])
    assert_refused(boot(verified, stranger, firmware, tree=tree), UNTRUSTED)


def installed(verified: Tiny, tree: Path, key: Path) -> "tuple[Raw, Drive]":
    """Build a pair, signed with this key; return its mini-initramfs and its boot disk."""
    certificate = ["--verity-cert", str(key.with_suffix(".crt"))]
    signing = ["--verity", "--verity-key", str(key), *certificate]
    debian.outside(tree, "-f", "--no-hostonly", *signing)
    assert ": wrong: " not in debian.outside(tree, "--verify")
    initrd = tree / f"boot/initrd.img-{verified.platform.release}"
    path = verified.directory / key.stem
    disk = bootdisk.make(path, "ext4", {verified.name: tree / "boot" / verified.name}, BOOT_UUID)
    return Raw(initrd.read_bytes()), Drive(disk)


@pytest.mark.slow
def test_signed_pair_of_initoverlayfs_install_boots(
    verified: Tiny, tree: Path, keys: Path, firmware: Sequence[str]
) -> None:
    """Debian's systemd starts from a pair that initoverlayfs-install signed with a trusted key.

    If another key signed the same image, the kernel refuses the image.
    """
    mini, disk = installed(verified, tree, keys / "trusted.key")
    systemd = r"systemd\[1\]: "
    outcome = verified.boot(mini, [disk], REQUIRED, extra=firmware, until=systemd, memory=1024)
    assert ", verified by root hash " in outcome.console, outcome.console
    mini, disk = installed(verified, tree, keys / "stranger.key")
    assert_refused(verified.boot(mini, [disk], extra=firmware), UNTRUSTED)


@pytest.mark.slow
def test_invalid_verity_table_refers_to_the_kernel_log(verified: Tiny, keys: Path) -> None:
    """If the kernel refuses the table, one line refers to the kernel's message for the reason.

    The line does not blame the signature: the same error number can have another cause.
    """
    path, words = verified.with_hash_tree(verified.image)
    root_hash = words.split()[6]
    signed = sign(keys, "stranger", root_hash)
    table = words.replace(root_hash, root_hash + "00")
    outcome = boot(verified, signed, tree=(path, table))
    said = ": Invalid argument: the kernel's message before this one gives the reason$"
    assert_refused(outcome, said)
    assert "device-mapper: table: " in outcome.console and "Invalid root digest" in outcome.console
