/* SPDX-License-Identifier: MIT */
/*
 * Replace openat2 by openat in storage-init.counted, which runs under valgrind only: valgrind 3.19
 * does not implement openat2, so a boot would fail with ENOSYS. Everything else is the code of
 * storage-init, with symbols.
 */
#define _GNU_SOURCE
#include <linux/openat2.h>
#include <stdarg.h>
#include <sys/syscall.h>

long __real_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
    long words[6];
    va_list list;
    va_start(list, number);
    for (int at = 0; at < 6; at++)
        words[at] = va_arg(list, long);
    va_end(list);
    if (number == SYS_openat2) {
        const struct open_how *how = (const struct open_how *)words[2];
        return __real_syscall(SYS_openat, words[0], words[1], how->flags, how->mode);
    }
    return __real_syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
