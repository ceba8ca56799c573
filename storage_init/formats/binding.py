# SPDX-License-Identifier: MIT
"""Parse the binding: the file in a mini-initramfs that names its image and how to verify it.

The source of the format is this docstring: the format is the project's own.
initoverlayfs/build/binding_file.py writes the file into the mini-initramfs when it builds both.
Each line is a key and its words:

    uuid UUID          image ID: the UUID in the superblock of the image, derived from its content
    size BYTES         of the file, including the hash tree if there is one
    needs PATH         a file of the image that its init requires
    verity 1 DATA_BLOCK_SIZE HASH_BLOCK_SIZE DATA_BLOCKS HASH_START ALGORITHM ROOT_HASH SALT

The words of `verity` are those of a dm-verity table after its two devices, which are the same here
(Documentation/admin-guide/device-mapper/verity.rst of Linux). Block sizes are in bytes, HASH_START
is in hash blocks.
"""

from collections import namedtuple

from storage_init.formats import const
from storage_init.kernel.failure import BootFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

PATH = "/usr/lib/initoverlayfs/image"

# The signature of the root hash, PKCS#7 in DER. Optional.
SIGNATURE = "/usr/lib/initoverlayfs/image.p7s"

# uuid: the image ID in lower case. size: in bytes, 0 if unknown. verity: a Verity, or None. needs:
# paths in the image.
Identity = namedtuple("Identity", ("uuid", "size", "verity", "needs"))

# size: of the verified data in bytes. root_hash: in hexadecimal. table: all words of the line.
Verity = namedtuple("Verity", ("size", "root_hash", "table"))

# The words of a value consist of these characters only.
_DIGITS = const("0123456789")
_HEXADECIMAL = const("0123456789abcdef")
_UUID = const("0123456789abcdef-")
_ALGORITHM = const("0123456789abcdefghijklmnopqrstuvwxyz-")

_UUID_LENGTH = const(36)
_MAX_DIGITS = const(15)
_MIN_ROOT_HASH = const(64)  # hexadecimal digits: no algorithm below 256 bits
_BLOCK_SIZES = const((512, 1024, 2048, 4096))
_VERITY_VERSION = const("1")
_VERITY_WORDS = const(8)
_NO_SALT = const("-")

_SHOWN = const(80)  # characters of a malformed line in the error


def parse(text: str) -> Identity:
    """Return the identity of the image from the text of a binding.

    Ignores unknown keys, which belong to a later version; only `uuid` is required. Raises
    BootFailure, which quotes the malformed line.
    """
    uuid = ""
    size = 0
    verity: Optional[Verity] = None
    needs: List[str] = []
    for line in text.split("\n"):
        key, _, value = line.partition(" ")
        if key == "uuid":
            uuid = _one(line).lower()
        elif key == "size":
            size = _number(_one(line), line)
        elif key == "needs":
            needs.append(_path(value, line))
        elif key == "verity":
            verity = _verity(value, line)
    if len(uuid) != _UUID_LENGTH or uuid.strip(_UUID):
        raise _malformed("uuid " + uuid)
    return Identity(uuid, size, verity, tuple(needs))


def _verity(table: str, line: str) -> Verity:
    words = table.split(" ")
    if len(words) != _VERITY_WORDS:
        raise _malformed(line)
    version, data_size, hash_size, blocks, hash_start, algorithm, root_hash, salt = words
    data_block = _number(data_size, line)
    data_blocks = _number(blocks, line)
    _number(hash_start, line)
    if (
        version != _VERITY_VERSION
        or data_block not in _BLOCK_SIZES
        or _number(hash_size, line) not in _BLOCK_SIZES
        or data_blocks == 0
        or algorithm.strip(_ALGORITHM)
        or not algorithm
        or root_hash.strip(_HEXADECIMAL)
        or len(root_hash) < _MIN_ROOT_HASH
        or (salt != _NO_SALT and salt.strip(_HEXADECIMAL))
    ):
        raise _malformed(line)
    return Verity(data_block * data_blocks, root_hash, table)


def _path(text: str, line: str) -> str:
    if not text.startswith("/") or ".." in text.split("/"):
        raise _malformed(line)
    return text


def _one(line: str) -> str:
    words = line.split(" ")
    if len(words) != 2:
        raise _malformed(line)
    return words[1]


def _number(text: str, line: str) -> int:
    if not text or len(text) > _MAX_DIGITS or text.strip(_DIGITS):
        raise _malformed(line)
    return int(text)


def _malformed(line: str) -> BootFailure:
    text = "{}: malformed binding: {}: cannot tell which image belongs to this mini-initramfs; "
    text += "build it again with initoverlayfs-install -f"
    return BootFailure(text.format(PATH, repr(line[:_SHOWN])))
