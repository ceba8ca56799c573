# SPDX-License-Identifier: MIT
"""Builds storage_init._syscalls, the seam for CPython, from the same C file and prototypes."""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent

ffi = FFI()
header = (HERE / "_syscalls.h").read_text()
ffi.cdef(header.split("/* cdef */")[1].split("#endif")[0])
ffi.set_source(
    "storage_init._syscalls",
    '#include "_syscalls.h"',
    sources=["storage_init/_syscalls.c"],
    include_dirs=["storage_init"],
    py_limited_api=True,
)
