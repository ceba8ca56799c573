# SPDX-License-Identifier: MIT
"""Signatures of a root hash, checked by openssl, and the refusal of unusable keys."""

import re
import subprocess
from pathlib import Path

import pytest
from host_support import RELEASE, settings

from initoverlayfs.build import binding_file, initramfs, pair, signature
from initoverlayfs.build.job import Job
from initoverlayfs.errors import Failure
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target

ROOT_HASH = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the private keys and self-signed certificates `our` and `other`."""
    directory = tmp_path_factory.mktemp("keys")
    for name in ("our", "other"):
        run(
            *("req", "-x509", "-newkey", "rsa:2048", "-sha256", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", str(directory / f"{name}.key"), "-out", str(directory / f"{name}.crt")),
        )
    return directory


def run(*arguments: str, data: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def with_keys(
    keys: Path, key: str = "our.key", cert: str = "our.crt", more: str = ""
) -> InstallSettings:
    return settings(f"verity_key {keys / key}\nverity_cert {keys / cert}\n{more}")


def verified(keys: Path, signed: bytes, content: bytes) -> bool:
    (keys / "signed").write_bytes(signed)
    (keys / "content").write_bytes(content)
    line = ["openssl", "smime", "-verify", "-inform", "der", "-in", str(keys / "signed"), "-binary"]
    line += ["-content", str(keys / "content"), "-certfile", str(keys / "our.crt"), "-noverify"]
    return subprocess.run(line, capture_output=True, timeout=60).returncode == 0


def test_root_hash_is_signed_as_text(keys: Path) -> None:
    signed = signature.sign(ROOT_HASH, with_keys(keys))
    assert verified(keys, signed, ROOT_HASH.encode())
    assert not verified(keys, signed, ROOT_HASH.encode() + b"\n")
    assert not verified(keys, signed, bytes.fromhex(ROOT_HASH))
    text = run("cms", "-cmsout", "-print", "-noout", "-inform", "der", data=signed).decode()
    assert "eContent: <ABSENT>" in text and "signedAttrs:\n          <ABSENT>" in text
    assert "certificates:\n      <ABSENT>" in text
    # It has no time of signing.
    assert signature.sign(ROOT_HASH, with_keys(keys)) == signed


def test_unusable_key_or_certificate_is_refused(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (keys / "no.pem").write_text("hello\n")
    (keys / "bad.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    run(
        *("rsa", "-aes128", "-passout", "pass:hidden", "-in", str(keys / "our.key")),
        *("-out", str(keys / "locked.key")),
    )
    for key, cert, reason in (
        ("absent", "our.crt", "verity_key .*/absent: No such file or directory$"),
        ("our.key", "absent", "verity_cert .*/absent: No such file or directory$"),
        ("no.pem", "our.crt", "verity_key .*/no.pem: not a private key in PEM format$"),
        ("our.key", "our.key", "verity_cert .*/our.key: not a certificate in PEM format$"),
        ("locked.key", "our.crt", "locked.key has a passphrase: use a key without one$"),
        ("other.key", "our.crt", "other.key and verity_cert .*/our.crt: key values mismatch$"),
        ("our.key", "bad.crt", "bad.crt: .+"),
    ):
        with pytest.raises(Failure) as failure:
            signature.sign(ROOT_HASH, with_keys(keys, key, cert))
        assert re.search(reason, str(failure.value)), failure.value
        assert "\n" not in str(failure.value)
    monkeypatch.setattr(signature, "_PATH", str(keys))
    with pytest.raises(Failure, match="openssl not found, .* install the package openssl$"):
        signature.sign(ROOT_HASH, with_keys(keys))


def test_incomplete_settings_are_refused(keys: Path, tmp_path: Path) -> None:
    target = Target(tmp_path)
    half = settings("verity_cert /c\n")
    with pytest.raises(Failure, match="conf sets verity_cert but not verity_key: set both"):
        signature.require(target, RELEASE, half, True)
    half.read_configuration("verity_key /k\n")
    with pytest.raises(Failure, match="verity_key /k: No such file"):
        signature.require(target, RELEASE, half, True)
    with pytest.raises(Failure, match="no hash tree to sign: add --verity, or remove verity_key"):
        signature.require(target, RELEASE, with_keys(keys), False)
    signature.require(target, RELEASE, InstallSettings(), False)


def test_kernel_that_cannot_check_signatures_is_refused(keys: Path, tmp_path: Path) -> None:
    target = Target(tmp_path)
    signature.require(target, RELEASE, with_keys(keys), True)
    (tmp_path / "boot").mkdir()
    config = tmp_path / f"boot/config-{RELEASE}"
    for text in ("", "# CONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG is not set\n"):
        config.write_text(text)
        with pytest.raises(
            Failure, match="Linux 6.12.1 cannot check the signature .*: remove verity"
        ):
            signature.require(target, RELEASE, with_keys(keys), True)
        signature.require(target, RELEASE, InstallSettings(), True)
    config.write_text("CONFIG_DM_VERITY=m\nCONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG=y\n")
    signature.require(target, RELEASE, with_keys(keys), True)


@pytest.mark.parametrize(
    ("more", "signed"), [("hash_tree yes\n", True), ("verity require\n", True), ("", False)]
)
def test_mini_initramfs_contains_the_signature_of_the_root_hash(
    keys: Path, tmp_path: Path, more: str, signed: bool
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/init").touch()
    job = Job(Target(Path("/")), RELEASE, str(tmp_path), with_keys(keys, more=more))
    subprocess.run(["mkfs.erofs", "image", "tree"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "mini").write_bytes(b"")
    pair.bind(job, tmp_path / "mini", tmp_path / "image")
    files = initramfs.first_archive(tmp_path / "mini")
    assert next(iter(files)) == initramfs.EARLY
    binding = binding_file.read(tmp_path / "mini")
    assert binding is not None
    found = files.get("usr/lib/initoverlayfs/image.p7s")
    if signed:
        assert binding.verity is not None and found is not None
        assert verified(keys, found, binding.verity.root_hash.encode())
    else:
        assert binding.verity is None and found is None
