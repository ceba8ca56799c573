# SPDX-License-Identifier: MIT
"""Sign the root hash of an image's hash tree, for the kernel to check with its trusted keys."""

import re
import shutil
import subprocess
from pathlib import Path

from initoverlayfs.errors import Failure
from initoverlayfs.machine.build_settings import InstallSettings
from initoverlayfs.target import Target
from storage_init.config.settings import CONFIGURATION

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# In Linux 5.4 and later.
_OPTION = "CONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG"


def require(target: Target, release: str, settings: InstallSettings, hash_tree: bool) -> None:
    """Raise Failure if the settings request a signature that cannot be made, or not be checked.

    release: the kernel that boots the image. Assumes that it can check signatures if its
    configuration file is missing. hash_tree: whether the image gets a hash tree. Makes a signature
    of a dummy root hash to test the key and the certificate.
    """
    if not settings.verity_key and not settings.verity_cert:
        return
    for name, other in (("verity_key", "verity_cert"), ("verity_cert", "verity_key")):
        if not getattr(settings, other):
            raise Failure(f"{CONFIGURATION} sets {name} but not {other}: set both or neither")
    if not hash_tree:
        raise Failure(
            f"{CONFIGURATION} sets verity_key, but the image gets no hash tree to sign: add"
            " --verity, or remove verity_key and verity_cert from the file"
        )
    sign("0" * 64, settings)
    for name in (f"/boot/config-{release}", f"/usr/lib/modules/{release}/config"):
        path = target.path(name)
        if path.is_file() and not re.search(rf"^{_OPTION}=y$", path.read_text(), re.M):
            raise Failure(
                f"Linux {release} cannot check the signature of a root hash ({path} lacks"
                f" {_OPTION}=y): remove verity_key and verity_cert from {CONFIGURATION}"
            )


def sign(root_hash: str, settings: InstallSettings) -> bytes:
    """Return a detached PKCS#7 signature, DER, as `veritysetup --root-hash-signature` expects it.

    root_hash: in hexadecimal, as in the dm-verity table; the kernel checks the signature of that
    text. The key and the certificate are PEM files of the system that this program runs on. Raises
    Failure.
    """
    key = _read_pem(settings.verity_key, "verity_key", "PRIVATE KEY")
    _read_pem(settings.verity_cert, "verity_cert", "CERTIFICATE")
    if "ENCRYPTED" in key:
        raise Failure(f"verity_key {settings.verity_key} has a passphrase: use a key without one")
    openssl = shutil.which("openssl", path=_PATH)
    if openssl is None:
        raise Failure(
            "command openssl not found, required to sign the root hash: install the package openssl"
        )
    # -noattr: sign the root hash itself, as the kernel expects, and include no time of signing,
    # which would make builds differ.
    line = [openssl, "smime", "-sign", "-nocerts", "-noattr", "-binary", "-md", "sha256"]
    line += ["-inkey", settings.verity_key, "-signer", settings.verity_cert, "-outform", "der"]
    done = subprocess.run(line, input=root_hash.encode(), capture_output=True)
    if done.returncode:
        raise Failure(
            f"openssl cannot sign with verity_key {settings.verity_key} and verity_cert"
            f" {settings.verity_cert}: {_reason(done.stderr.decode(errors='replace'))}"
        )
    return done.stdout


def _read_pem(path: str, name: str, kind: str) -> str:
    """Return the text of a PEM file. name: of its setting. kind: in its BEGIN line."""
    try:
        text = Path(path).read_text(errors="replace")
    except OSError as error:
        raise Failure(f"{name} {path}: {error.strerror}") from None
    if not re.search(rf"^-----BEGIN [A-Z ]*{kind}-----", text, re.M):
        raise Failure(f"{name} {path}: not a {kind.lower()} in PEM format")
    return text


def _reason(messages: str) -> str:
    """Return the reason in openssl's first error message, else its last line."""
    lines = [line for line in messages.splitlines() if line.strip()]
    for line in lines:
        # PROCESS:error:CODE:LIBRARY:FUNCTION:REASON:FILE:LINE:DETAIL
        fields = line.split(":")
        if len(fields) > 5 and fields[1] == "error":
            return fields[5]
    return lines[-1].strip() if lines else "it printed no message"
