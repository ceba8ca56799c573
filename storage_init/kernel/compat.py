# SPDX-License-Identifier: MIT
"""Hide the differences between the interpreters, and give access to the C functions.

`syscalls` has each function of _syscalls.h under its name. The Python types are identical on both
interpreters: str for a C string (OSError(EINVAL) if it contains a NUL), None for NULL, bytes or
bytearray for a buffer. On CPython, `python setup.py build_ext --inplace` builds the extension. It
is imported at the first call, so that parsers and their tests work without it.
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
    """Decode UTF-8. Each byte that is not part of a valid character becomes `?`."""
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
    """Decode exactly one character. Raises UnicodeError or ValueError for other bytes.

    MicroPython's decode accepts surrogates, code points above U+10FFFF and overlong encodings.
    """
    character = data.decode()
    code = ord(character) if len(character) == 1 else 0xD800
    if 0xD800 <= code < 0xE000 or code > 0x10FFFF or len(_utf8(code)) != len(data):
        raise ValueError("not UTF-8")
    return character


def decode_utf16(data: bytes) -> str:
    """Decode UTF-16LE up to the first NUL. An unpaired surrogate becomes `?`."""
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


def _utf8(code: int) -> bytes:
    """Encode a code point. chr() would intern each character in MicroPython permanently."""
    if code < 0x80:
        return bytes([code])
    if code < 0x800:
        return bytes([0xC0 | code >> 6, 0x80 | code & 0x3F])
    if code < 0x10000:
        return bytes([0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F])
    head = bytes([0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F])
    return head + bytes([0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F])


class _Cffi:
    """Call the functions of the cffi module with Python values converted to C."""

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
                    raise OSError(EINVAL, "the string contains a NUL")
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
