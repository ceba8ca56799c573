/* SPDX-License-Identifier: MIT */
/* The features of MicroPython that storage-init and its rescue prompt require. */

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

/* storage-init imports frozen modules only, and none from a filesystem. */
#define MICROPY_PY_SYS_PATH_DEFAULT ".frozen"

#define MICROPY_FLOAT_IMPL (MICROPY_FLOAT_IMPL_DOUBLE)
#define MICROPY_FLOAT_USE_NATIVE_FLT16 (0)
/* Nobody boots with complex numbers, which bring the C library's sine and logarithm: 14 KB. */
#define MICROPY_PY_BUILTINS_COMPLEX (0)
#define MICROPY_LONGINT_IMPL (MICROPY_LONGINT_IMPL_MPZ)
#define MICROPY_ENABLE_EMERGENCY_EXCEPTION_BUF (1)
#define MICROPY_EMERGENCY_EXCEPTION_BUF_SIZE (256)
#define MICROPY_OPT_COMPUTED_GOTO (1)
#define MICROPY_ERROR_REPORTING (MICROPY_ERROR_REPORTING_NORMAL)
#define MICROPY_WARNINGS (0)
#define MICROPY_ASYNC_KBD_INTR (0)
#define MICROPY_STREAMS_POSIX_API (1)

/*
 * The heap starts with 1 MiB and grows in further areas, see module/heap.c. MicroPython would free an
 * area whose only object in use is in its first block. Keep every area instead: gc.c has just
 * unlinked `ptr` from `prev_area`, and continues after `prev_area`.
 * gc.c calls malloc() without its declaration, and adds bytes to a `void *`.
 */
#include <stdlib.h>
#pragma GCC diagnostic ignored "-Wpointer-arith"
#define MICROPY_GC_SPLIT_HEAP (1)
#define MICROPY_GC_SPLIT_HEAP_AUTO (1)
#define MP_PLAT_FREE_HEAP(ptr) (NEXT_AREA(prev_area) = (ptr), prev_area = (ptr))

/* Bytecode is fast enough; the emitters of machine code are 60 KB. */
#define MICROPY_EMIT_X64 (0)
#define MICROPY_EMIT_X86 (0)
#define MICROPY_EMIT_THUMB (0)
#define MICROPY_EMIT_ARM (0)

/* The linker needs both off or both on. */
#define MICROPY_DEBUG_PRINTERS (0)
#define MICROPY_PY_MICROPYTHON_MEM_INFO (0)

#define MICROPY_PY_OS_INCLUDEFILE "ports/unix/modos.c"
#define MICROPY_PY_OS_GETENV_PUTENV_UNSETENV (1)
#define MICROPY_PY_TIME (1)
#define MICROPY_PY_TIME_TIME_TIME_NS (1)
#define MICROPY_PY_TIME_CUSTOM_SLEEP (1)
#define MICROPY_PY_TIME_INCLUDEFILE "ports/unix/modtime.c"
#define MICROPY_PY_SELECT_POSIX_OPTIMISATIONS (1)
#define MICROPY_PY_SELECT_SELECT (0)

#define MICROPY_PY_ASYNCIO (0)
#define MICROPY_PY_CMATH (0)
#define MICROPY_PY_DEFLATE (0)
#define MICROPY_PY_FRAMEBUF (0)
#define MICROPY_PY_HEAPQ (0)
#define MICROPY_PY_MACHINE (0)
#define MICROPY_PY_MARSHAL (0)
#define MICROPY_PY_MATH (0)
#define MICROPY_PY_PLATFORM (0)
#define MICROPY_PY_RANDOM (0)
#define MICROPY_PY_UCTYPES (0)
