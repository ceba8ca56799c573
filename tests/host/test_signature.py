# SPDX-License-Identifier: MIT
"""Signing a root hash: what comes of it is checked by openssl, what is refused is one line."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from initoverlayfs.build import binding_file, dracut, initramfs, signature
from initoverlayfs.errors import Failure
from initoverlayfs.install import commands, options
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target

ROOT_HASH = "0123456789abcdef" * 4
RELEASE = "6.12.1"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the keys and self-signed certificates of `our` and `other`."""
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


def settings(
    keys: Path, key: str = "our.key", cert: str = "our.crt", more: str = ""
) -> InstallSettings:
    found = InstallSettings()
    found.read_configuration(f"verity_key {keys / key}\nverity_cert {keys / cert}\n{more}")
    assert found.warnings == []
    return found


def verified(keys: Path, signed: bytes, content: bytes) -> bool:
    (keys / "signed").write_bytes(signed)
    (keys / "content").write_bytes(content)
    line = ["openssl", "smime", "-verify", "-inform", "der", "-in", str(keys / "signed"), "-binary"]
    line += ["-content", str(keys / "content"), "-certfile", str(keys / "our.crt"), "-noverify"]
    return subprocess.run(line, capture_output=True, timeout=60).returncode == 0


def test_it_is_the_text_that_is_signed(keys: Path) -> None:
    signed = signature.sign(ROOT_HASH, settings(keys))
    assert verified(keys, signed, ROOT_HASH.encode())
    assert not verified(keys, signed, ROOT_HASH.encode() + b"\n")
    assert not verified(keys, signed, bytes.fromhex(ROOT_HASH))
    text = run("cms", "-cmsout", "-print", "-noout", "-inform", "der", data=signed).decode()
    assert "eContent: <ABSENT>" in text and "signedAttrs:\n          <ABSENT>" in text
    assert "certificates:\n      <ABSENT>" in text
    # no time of signing in it
    assert signature.sign(ROOT_HASH, settings(keys)) == signed


def test_what_cannot_be_signed_with(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (keys / "no.pem").write_text("hello\n")
    (keys / "bad.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    run(
        *("rsa", "-aes128", "-passout", "pass:hidden", "-in", str(keys / "our.key")),
        *("-out", str(keys / "locked.key")),
    )
    for key, cert, reason in (
        ("absent", "our.crt", "verity_key .*/absent: No such file or directory$"),
        ("our.key", "absent", "verity_cert .*/absent: No such file or directory$"),
        ("no.pem", "our.crt", "verity_key .*/no.pem: this is no private key in PEM$"),
        ("our.key", "our.key", "verity_cert .*/our.key: this is no certificate in PEM$"),
        ("locked.key", "our.crt", "locked.key: it has a passphrase: give one without$"),
        ("other.key", "our.crt", "other.key and verity_cert .*/our.crt: key values mismatch$"),
        ("our.key", "bad.crt", "bad.crt: .+"),
    ):
        with pytest.raises(Failure) as failure:
            signature.sign(ROOT_HASH, settings(keys, key, cert))
        assert re.search(reason, str(failure.value)), failure.value
        assert "\n" not in str(failure.value)
    monkeypatch.setattr(signature, "_PATH", str(keys))
    with pytest.raises(Failure, match="no openssl here, .* install the package openssl$"):
        signature.sign(ROOT_HASH, settings(keys))


def test_what_the_settings_lack(keys: Path, tmp_path: Path) -> None:
    target = Target(tmp_path)
    half = InstallSettings()
    half.read_configuration("verity_cert /c\n")
    with pytest.raises(Failure, match="verity_cert is set and verity_key is not: set both in /etc"):
        signature.require(target, RELEASE, half, True)
    half.read_configuration("verity_key /k\n")
    with pytest.raises(Failure, match="verity_key /k: No such file"):
        signature.require(target, RELEASE, half, True)
    with pytest.raises(Failure, match="no hash tree to sign: add --verity, or remove verity_key"):
        signature.require(target, RELEASE, settings(keys), False)
    signature.require(target, RELEASE, InstallSettings(), False)


def test_a_kernel_that_takes_no_signature(keys: Path, tmp_path: Path) -> None:
    target = Target(tmp_path)
    signature.require(target, RELEASE, settings(keys), True)
    (tmp_path / "boot").mkdir()
    config = tmp_path / f"boot/config-{RELEASE}"
    for text in ("", "# CONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG is not set\n"):
        config.write_text(text)
        with pytest.raises(Failure, match="Linux 6.12.1 checks no signature .*: remove verity_key"):
            signature.require(target, RELEASE, settings(keys), True)
        signature.require(target, RELEASE, InstallSettings(), True)
    config.write_text("CONFIG_DM_VERITY=m\nCONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG=y\n")
    signature.require(target, RELEASE, settings(keys), True)


def test_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = options.parse(["--verity-key", "k", "--verity-cert", "/c"])
    kept = {"hash_tree": "yes", "verity_key": os.path.abspath("k"), "verity_cert": "/c"}
    assert commands.kept_choices(chosen) == kept
    assert commands.kept_choices(options.parse([])) == {}
    for line, reason in (
        (["--verity-key", "k"], "--verity-key and --verity-cert need each other"),
        (["--verity-cert", "c"], "--verity-key and --verity-cert need each other"),
        (["--no-verity", "--verity-key", "k", "--verity-cert", "c"], "not allowed with --no-"),
    ):
        with pytest.raises(SystemExit):
            options.parse(line)
        assert reason in capsys.readouterr().err


class Tools(Target):
    """The system's own tools, but for a hash tree's root hash, which is always the same."""

    def run(self, argv: Sequence[str]) -> str:
        if argv[0] == "veritysetup":
            return f"Root hash:      \t{ROOT_HASH}\n"
        return super().run(argv)


def test_the_signature_is_beside_the_root_hash(keys: Path, tmp_path: Path) -> None:
    for more, wanted in (("hash_tree yes\n", True), ("verity require\n", True), ("", False)):
        work = tmp_path / f"work-{len(more)}"
        (work / "tree").mkdir(parents=True)
        (work / "tree/init").touch()
        job = dracut.Job(Tools(Path("/")), RELEASE, str(work), settings(keys, more=more))
        subprocess.run(["mkfs.erofs", "image", "tree"], cwd=work, check=True, capture_output=True)
        (work / "mini").write_bytes(b"")
        dracut.bind(job, work / "mini", work / "image")
        files = initramfs.first(work / "mini")
        assert next(iter(files)) == "early_cpio"  # by which lsinitrd knows to go on behind it
        tree = binding_file.read(work / "mini")
        assert tree is not None and (tree.verity is not None) == wanted
        signed = files.get("usr/lib/initoverlayfs/image.p7s", b"")
        assert verified(keys, signed, ROOT_HASH.encode()) == wanted and bool(signed) == wanted
