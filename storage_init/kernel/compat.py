# SPDX-License-Identifier: MIT
"""The only module that knows which interpreter runs, and the only one that sees the C seam.

`syscalls` has every function of _syscalls.h under its name, for the same Python types on both: str
for a C string (OSError(EINVAL) for one with a NUL in it), None for NULL, bytes or a bytearray for a
buffer. On CPython it is built by `python setup.py build_ext --inplace`, and first looked for when
first used: what only parses works without.
"""

import sys

from storage_init.kernel.abi import EINVAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MICROPYTHON = sys.implementation.name == "micropython"

IMPLEMENTATION = "{} {}".format(
    "MicroPython" if MICROPYTHON else "CPython",
    ".".join([str(part) for part in sys.implementation.version[:3]]),
)


def decode(data: bytes) -> str:
    """Bytes as text, whatever they are: each byte that is not part of valid UTF-8 becomes `?`."""
    try:
        text = data.decode()
        if not MICROPYTHON or len(text) == len(data):
            return text
    except UnicodeError:
        pass
    text = ""
    at = 0
    while at < len(data):
        for length in (1, 2, 3, 4):
            try:
                character = _character(data[at : at + length])
                break
            except (UnicodeError, ValueError):
                continue
        else:
            character = "?"
            length = 1
        text += character
        at += length
    return text


def _character(data: bytes) -> str:
    """The character of these bytes. UnicodeError or ValueError if they are not exactly one.

    MicroPython's decode takes surrogates, numbers beyond Unicode, and longer forms than needed.
    """
    character = data.decode()
    code = ord(character) if len(character) == 1 else 0xD800
    if 0xD800 <= code < 0xE000 or code > 0x10FFFF or len(_utf8(code)) != len(data):
        raise ValueError("not UTF-8")
    return character


def decode_utf16(data: bytes) -> str:
    """UTF-16LE up to its first NUL as text; a surrogate that is not one of a pair becomes `?`."""
    text = b""
    high = 0
    for at in range(0, len(data) - 1, 2):
        unit = data[at] | data[at + 1] << 8
        if unit == 0:
            break
        if high and 0xDC00 <= unit < 0xE000:
            text += _utf8(0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00))
            high = 0
            continue
        if high:
            text += b"?"
        high = unit if 0xD800 <= unit < 0xDC00 else 0
        if not high:
            text += b"?" if 0xDC00 <= unit < 0xE000 else _utf8(unit)
    return (text + b"?" if high else text).decode()


# Not chr(): MicroPython keeps every character that it has ever made for as long as it runs.
def _utf8(code: int) -> bytes:
    if code < 0x80:
        return bytes([code])
    if code < 0x800:
        return bytes([0xC0 | code >> 6, 0x80 | code & 0x3F])
    if code < 0x10000:
        return bytes([0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F])
    head = bytes([0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F])
    return head + bytes([0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F])


class _Cffi:
    """The functions of the cffi module, with Python's types turned into C's."""

    def __getattr__(self, name: str) -> "Any":
        try:
            from storage_init._syscalls import ffi, lib
        except ImportError:
            raise ImportError(
                "the C part of storage_init is not built: run python setup.py build_ext --inplace"
            )
        function = getattr(lib, name)

        def convert(value: "Any") -> "Any":
            if isinstance(value, str):
                value = value.encode("utf-8", "surrogateescape")
                if b"\0" in value:
                    raise OSError(EINVAL, "a name has a NUL in it")
                return value
            if value is None:
                return ffi.NULL
            return ffi.from_buffer(value) if isinstance(value, (bytearray, memoryview)) else value

        def call(*values: "Any") -> "Any":
            return function(*[convert(value) for value in values])

        setattr(self, name, call)
        return call


if MICROPYTHON:
    import _syscalls

    syscalls: "Any" = _syscalls
else:
    syscalls = _Cffi()
