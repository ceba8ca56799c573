/* SPDX-License-Identifier: MIT */
/*
 * The main() of storage-init, which calls MicroPython's (-Wl,--wrap). Called as `micropython` the
 * binary is the plain interpreter. Under any other name it runs the frozen package storage_init.
 *
 * If PID 1 ends, the kernel panics. storage_init catches every Python exception. For an interpreter
 * that exits or crashes nevertheless, this file logs the reason and reboots.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "_syscalls.h"

int __real_main(int argc, char **argv);

enum { REBOOT_DELAY = 10 };

static void say(const char *line)
{
    int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        fd = 2;
    if (write(fd, line, strlen(line)) < 0)
        return; /* there is no other place to log to */
}

static void last_resort(void)
{
    sync();
    for (unsigned left = REBOOT_DELAY; left > 0;)
        left = sleep(left);
    reboot(RB_AUTOBOOT);
    for (;;)
        pause();
}

static void exited(void)
{
    if (getpid() != 1)
        return;
    say("<2>initoverlayfs: storage-init exited: reboot in 10 s\n");
    last_resort();
}

static void crashed(int number)
{
    if (getpid() != 1) { /* a forked child: let the signal kill it */
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    char line[80];
    snprintf(line, sizeof line, "<2>initoverlayfs: storage-init crashed, signal %d: reboot in 10 s\n",
             number);
    say(line);
    last_resort();
}

static void guard_pid_1(void)
{
    static char stack[16384] __attribute__((aligned(16)));
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaltstack(&alternate, NULL);
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        sigaction(fatal[i], &action, NULL);
    atexit(exited);
}

int __wrap_main(int argc, char **argv)
{
    /* Without this sys.path, MicroPython would import from the working directory first. */
    static char program[] = "import sys\nsys.path[:] = ['.frozen']\nimport storage_init.__main__";
    /* heap.c lets the heap grow. */
    static char x[] = "-X", heap[] = "heapsize=1M", c[] = "-c", none[] = "storage-init";
    char *name = argc > 0 ? argv[0] : none;
    const char *slash = strrchr(name, '/');

    sc_standard_fds();
    if (getpid() == 1)
        guard_pid_1();
    if (!strcmp(slash ? slash + 1 : name, "micropython"))
        return __real_main(argc, argv);

    unsetenv("MICROPYPATH");
    unsetenv("MICROPYINSPECT");
    char **arguments = calloc((size_t)argc + 6, sizeof *arguments);
    if (arguments == NULL)
        return 1;
    char *own[] = {name, x, heap, c, program};
    memcpy(arguments, own, sizeof own);
    for (int i = 1; i < argc; i++)
        arguments[4 + i] = argv[i];
    return __real_main(argc > 0 ? argc + 4 : 5, arguments);
}
