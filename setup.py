# SPDX-License-Identifier: MIT
from setuptools import setup

setup(cffi_modules=["storage_init/_syscalls_build.py:ffi"])
