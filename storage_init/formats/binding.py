# SPDX-License-Identifier: MIT
"""Which image a mini-initramfs belongs to, and what to verify it by.

The file is this project's own; initoverlayfs/build/binding_file.py writes it into the
mini-initramfs when both are built. Lines of a key and its words:

    uuid UUID          the UUID in the superblock of the image's filesystem, made from its content
    size BYTES         of the file, with the hash tree if there is one
    needs PATH         a file of the image that its first process cannot start without
    verity 1 DATA_BLOCK_SIZE HASH_BLOCK_SIZE DATA_BLOCKS HASH_START ALGORITHM ROOT_HASH SALT

The words of `verity` are those of a dm-verity table after its two devices, which are one here
(Documentation/admin-guide/device-mapper/verity.rst); sizes in bytes, HASH_START in hash blocks.
"""

from collections import namedtuple

from storage_init.kernel.abi import EINVAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

PATH = "/usr/lib/initoverlayfs/image"

# The signature of the root hash beside it: PKCS#7, DER. It need not be there.
SIGNATURE = "/usr/lib/initoverlayfs/image.p7s"

# uuid: in lower case. size: in bytes. verity: a Verity, or None. needs: paths in the image.
Identity = namedtuple("Identity", ("uuid", "size", "verity", "needs"))

# size: bytes that are verified. root_hash: in hexadecimal. table: all words, joined by spaces.
Verity = namedtuple("Verity", ("size", "root_hash", "table"))

_HEXADECIMAL = "0123456789abcdef"
_BLOCK_SIZES = (512, 1024, 2048, 4096)


def parse(text: str) -> Identity:
    """The identity in a file's text. Raises OSError(EINVAL), saying which line is wrong.

    Keys that are unknown belong to a later version and are passed over; `uuid` has to be there.
    """
    uuid = ""
    size = 0
    verity: Optional[Verity] = None
    needs: List[str] = []
    for line in text.split("\n"):
        words = line.split(" ")
        if words[0] == "uuid":
            uuid = _one(words, line).lower()
        elif words[0] == "size":
            size = _number(_one(words, line), line)
        elif words[0] == "needs":
            needs.append(_path(line[len("needs ") :], line))
        elif words[0] == "verity":
            verity = _verity(words[1:], line)
    if len(uuid) != 36 or uuid.strip(_HEXADECIMAL + "-"):
        raise _wrong("uuid " + uuid)
    return Identity(uuid, size, verity, tuple(needs))


def _verity(words: "List[str]", line: str) -> Verity:
    if len(words) != 8 or words[0] != "1":
        raise _wrong(line)
    block, hash_block, blocks, _ = [_number(word, line) for word in words[1:5]]
    if block not in _BLOCK_SIZES or hash_block not in _BLOCK_SIZES or blocks == 0:
        raise _wrong(line)
    algorithm, root_hash, salt = words[5:]
    if algorithm.strip("abcdefghijklmnopqrstuvwxyz0123456789-") or not algorithm:
        raise _wrong(line)
    if root_hash.strip(_HEXADECIMAL) or len(root_hash) < 64:
        raise _wrong(line)
    if salt != "-" and salt.strip(_HEXADECIMAL):
        raise _wrong(line)
    return Verity(block * blocks, root_hash, " ".join(words))


def _path(text: str, line: str) -> str:
    if not text.startswith("/") or ".." in text.split("/"):
        raise _wrong(line)
    return text


def _one(words: "List[str]", line: str) -> str:
    if len(words) != 2:
        raise _wrong(line)
    return words[1]


def _number(text: str, line: str) -> int:
    if not text or len(text) > 15 or text.strip("0123456789"):
        raise _wrong(line)
    return int(text)


def _wrong(line: str) -> OSError:
    what = "{}: what image this mini-initramfs belongs to is not readable: {}: build it again with"
    return OSError(EINVAL, what.format(PATH, repr(line[:80])) + " initoverlayfs-install -f")
