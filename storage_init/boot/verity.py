# SPDX-License-Identifier: MIT
"""dm-verity: a block device that checks each block against a root hash when it is read.

Source: Documentation/admin-guide/device-mapper/verity.rst.
"""

from storage_init.kernel.abi import EBADMSG, EINVAL, EKEYREJECTED, ENOKEY, MS_RDONLY
from storage_init.kernel.devmapper import Target
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from storage_init.formats.binding import Verity
    from storage_init.kernel.calls import Kernel

NAME = "initoverlayfs"
MODULE = "dm_verity"

# Missing in a kernel that checks no signatures, and in some before Linux 5.14 that do.
_SIGNATURES = "/sys/module/dm_verity/parameters/require_signatures"

# dm-verity's options by the words of the setting (boot_settings.CORRUPTION).
_OPTIONS = {"error": "", "restart": "restart_on_corruption", "panic": "panic_on_corruption"}


def table(device: str, verity: "Verity", corruption: str, key: str) -> str:
    """Return the table's parameters for a device that holds the data, then the hash tree.

    corruption: a value of verity_corruption. key: the description of the key that holds the
    signature of the root hash, "" for none.
    """
    version, rest = verity.table.split(" ", 1)
    option = _OPTIONS[corruption]
    options = [option] if option else []
    if key:
        options += ["root_hash_sig_key_desc", key]
    text = "{} {} {} {}".format(version, device, device, rest)
    return " ".join([text, str(len(options))] + options) if options else text


def _why(kernel: "Kernel", errno: "Optional[int]", signature: bytes) -> str:
    """Return why the kernel refuses the table, to add to its error, "" if unknown."""
    if errno == EINVAL:
        # any word of the table may be wrong, or the device too small: only the kernel's log tells
        text = ": the kernel's message before this one gives the reason"
        if signature and not kernel.exists(_SIGNATURES):
            text += "; it may be built without CONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG"
        return text
    if not signature:
        wanted = ": the kernel requires a signature of the root hash: build with --verity-key"
        return wanted if errno == ENOKEY else ""
    if errno == ENOKEY:
        return ": the root hash is signed by no key that the kernel trusts"
    if errno in (EKEYREJECTED, EBADMSG):
        return ": the signature is not one of this root hash"
    return ""


def mount(
    kernel: "Kernel",
    device: str,
    fstype: str,
    target: str,
    verity: "Verity",
    corruption: str,
    signature: bytes,
) -> str:
    """Mount a block device through dm-verity and return the path of the verified device.

    signature: PKCS#7 of the root hash, for the kernel to check by its trusted keys, b"" for none.
    The verified device disappears with its last user. Raises OSError. A corrupted block that
    mounting does not read is reported when it is read.
    """
    key = ""
    if signature:
        key = NAME + ":root-hash"
        kernel.add_key(key, signature)
    parameters = table(device, verity, corruption, key)
    try:
        path = kernel.dm_create(NAME, [Target("verity", verity.size, parameters)])
    except OSError as error:
        raise OSError(error.errno, reason(error) + _why(kernel, error.errno, signature))
    try:
        kernel.mkdir(target)
        kernel.mount(path, target, fstype, MS_RDONLY)
    finally:
        kernel.dm_remove(NAME)
    return path
