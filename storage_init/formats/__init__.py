# SPDX-License-Identifier: MIT
"""Read on-disk formats, ELF headers, the module tables and the binding from bytes.

Binary formats are described by tables. A layout is a tuple of fields, (name, offset, code). name:
as in the source of the format. offset: in bytes, from the start of the structure. code: the format
of the value for struct.unpack_from, with its byte order. A format is a tuple (start, magic_at,
magic, layout). start: the byte of the device at which the structure begins. magic_at: the byte of
the structure at which the magic begins.

The functions that read tables are in the package itself, not in a module of it: each import
statement costs MicroPython as much as reading five fields.
"""

from struct import unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional, Tuple, TypeVar

    # read(offset, size) of a device or a file. Returns less than `size` bytes at its end.
    Read = Callable[[int, int], bytes]
    Layout = Tuple[Tuple[str, int, str], ...]
    Format = Tuple[int, int, bytes, Layout]
    T = TypeVar("T")


def const(value: "T") -> "T":
    """Return the value. Declares a constant to MicroPython's compiler, which calls nothing.

    It inserts the value for the name, and if the name starts with an underscore, stores no name.
    The declaration must stand above the functions that use it.
    """
    return value


def unpack(layout: "Layout", data: bytes, at: int = 0) -> "Dict[str, Any]":
    """Return the fields of the structure at byte `at` of `data`, by their names.

    Does not check the length: struct raises ValueError, or struct.error on CPython, if the data
    ends before a field does.
    """
    fields = {}
    for name, offset, code in layout:
        fields[name] = unpack_from(code, data, at + offset)[0]
    return fields


def find(form: "Format", data: bytes) -> "Optional[Dict[str, Any]]":
    """Return the fields of a format in the first bytes of a device, None if its magic is missing.

    data: up to the end of all fields, or more.
    """
    start, magic_at, magic, layout = form
    return unpack(layout, data, start) if data.startswith(magic, start + magic_at) else None


# RFC 9562, section 4: time_low, time_mid, time_hi; clock_seq, and node in two parts.
_UUID_TIME = const("IHH")
_UUID_REST = const(">HHI")
_UUID_REST_AT = const(8)


def uuid(raw: bytes, order: str = ">") -> str:
    """Return the text of a UUID of 16 bytes, in lower case.

    order: byte order of the first three fields, "<" for a GUID (UEFI Specification, appendix A).
    """
    time = unpack_from(order + _UUID_TIME, raw)
    return "%08x-%04x-%04x-%04x-%04x%08x" % (time + unpack_from(_UUID_REST, raw, _UUID_REST_AT))
