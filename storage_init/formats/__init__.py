# SPDX-License-Identifier: MIT
"""Pure readers of bytes: on-disk formats, ELF, the module tables, the binding."""
