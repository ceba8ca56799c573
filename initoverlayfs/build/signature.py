# SPDX-License-Identifier: MIT
"""Signing the root hash of an image's hash tree, for the kernel to check by its own keys."""

import re
import shutil
import subprocess
from pathlib import Path

from initoverlayfs.errors import Failure
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target
from storage_init.config.settings import CONFIGURATION

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# As of Linux 5.4.
_OPTION = "CONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG"


def require(target: Target, release: str, settings: InstallSettings, hash_tree: bool) -> None:
    """Raises Failure where the settings want a signature and none can be made, or be checked.

    release: the kernel that is to check it; whether it can is known where its configuration lies
    beside it. hash_tree: whether there is one to sign.
    """
    if not settings.verity_key and not settings.verity_cert:
        return
    for name, other in (("verity_key", "verity_cert"), ("verity_cert", "verity_key")):
        if not getattr(settings, other):
            raise Failure(f"{name} is set and {other} is not: set both in {CONFIGURATION}")
    if not hash_tree:
        raise Failure(
            f"{CONFIGURATION} sets verity_key, but the image gets no hash tree to sign: add"
            " --verity, or remove verity_key and verity_cert there"
        )
    sign("0" * 64, settings)
    for name in (f"/boot/config-{release}", f"/usr/lib/modules/{release}/config"):
        path = target.path(name)
        if path.is_file() and not re.search(rf"^{_OPTION}=y$", path.read_text(), re.M):
            raise Failure(
                f"Linux {release} checks no signature of a root hash ({path} has no"
                f" {_OPTION}=y): remove verity_key and verity_cert from {CONFIGURATION}"
            )


def sign(root_hash: str, settings: InstallSettings) -> bytes:
    """A detached PKCS#7 signature, DER, as `veritysetup --root-hash-signature` takes it.

    root_hash: in hexadecimal as in the dm-verity table; that text is what the kernel checks. The
    key and the certificate are PEM files of the system this runs on. Raises Failure.
    """
    key = _pem(settings.verity_key, "verity_key", "PRIVATE KEY")
    _pem(settings.verity_cert, "verity_cert", "CERTIFICATE")
    if "ENCRYPTED" in key:
        raise Failure(f"verity_key {settings.verity_key}: it has a passphrase: give one without")
    openssl = shutil.which("openssl", path=_PATH)
    if openssl is None:
        raise Failure("no openssl here, to sign the root hash: install the package openssl")
    # -noattr: the kernel takes what is signed itself, and no time of signing makes builds differ
    line = [openssl, "smime", "-sign", "-nocerts", "-noattr", "-binary", "-md", "sha256"]
    line += ["-inkey", settings.verity_key, "-signer", settings.verity_cert, "-outform", "der"]
    done = subprocess.run(line, input=root_hash.encode(), capture_output=True)
    if done.returncode:
        raise Failure(
            f"openssl cannot sign by verity_key {settings.verity_key} and verity_cert"
            f" {settings.verity_cert}: {_reason(done.stderr.decode(errors='replace'))}"
        )
    return done.stdout


def _pem(path: str, name: str, kind: str) -> str:
    try:
        text = Path(path).read_text(errors="replace")
    except OSError as error:
        raise Failure(f"{name} {path}: {error.strerror}") from None
    if not re.search(rf"^-----BEGIN [A-Z ]*{kind}-----", text, re.M):
        raise Failure(f"{name} {path}: this is no {kind.lower()} in PEM")
    return text


def _reason(messages: str) -> str:
    """What openssl says is wrong: the reason in its first error, else its last line."""
    lines = [line for line in messages.splitlines() if line.strip()]
    for line in lines:
        # PROCESS:error:CODE:LIBRARY:FUNCTION:REASON:FILE:LINE:DETAIL
        fields = line.split(":")
        if len(fields) > 5 and fields[1] == "error":
            return fields[5]
    return lines[-1].strip() if lines else "it does not say why"
