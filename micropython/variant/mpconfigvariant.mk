# SPDX-License-Identifier: MIT
PROG = storage-init

MICROPY_PY_BTREE = 0
MICROPY_PY_FFI = 0
MICROPY_PY_SOCKET = 0
MICROPY_PY_SSL = 0
MICROPY_PY_TERMIOS = 0
MICROPY_PY_THREAD = 0
MICROPY_USE_READLINE = 1
MICROPY_VFS_FAT = 0
MICROPY_VFS_LFS1 = 0
MICROPY_VFS_LFS2 = 0

# module/main.c wraps MicroPython's main(), module/heap.c its garbage collector, and module/frozen.c
# replaces its search for frozen modules, without changes to MicroPython's source.
LDFLAGS += -Wl,--wrap=main -Wl,--wrap=gc_collect -Wl,--wrap=mp_find_frozen_module
