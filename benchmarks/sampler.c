// SPDX-License-Identifier: MIT
// Sample memory use and disk reads of a boot, from its first process on. As the kernel's init it
// forks a child that writes a line to the third serial port every 20 ms, and then executes the real
// /init. A line has the seconds since the kernel's start; MemTotal, free memory and reclaimable
// file cache in KiB; and the sectors of 512 bytes read from virtio disks. Free memory is MemFree
// plus the pages on the per-processor lists, which can be an eighth of all memory since Linux 6.7.
//
// The child has a mount namespace of its own, so that it keeps no mount of the machine busy. Its
// name starts with @, so that systemd does not kill it when it switches the root.

#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static char text[65536];

static const char *content(int fd) {
    ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
    text[got > 0 ? got : 0] = 0;
    return text;
}

static long number(const char *name) {
    const char *found = strstr(text, name);
    long value = 0;
    if (found)
        sscanf(found + strlen(name), ": %ld", &value);
    return value;
}

static long listed(void) {
    long total = 0, pages;
    for (const char *at = text; (at = strstr(at, " count:")); at++)
        if (sscanf(at, " count: %ld", &pages) == 1)
            total += pages;
    return total * 4;
}

static long sectors(void) {
    long total = 0, read;
    char name[32], *line = text, *next;
    for (; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        if (sscanf(line, " %*d %*d %31s %*d %*d %ld", name, &read) == 2 &&
            !strncmp(name, "vd", 2) && strlen(name) == 3)
            total += read;
    }
    return total;
}

static void sample(void) {
    struct timespec pause = {0, 20000000}, now;
    int port = open("/bench/port", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    int memory = open("/bench/proc/meminfo", O_RDONLY | O_CLOEXEC);
    int zones = open("/bench/proc/zoneinfo", O_RDONLY | O_CLOEXEC);
    int disks = open("/bench/proc/diskstats", O_RDONLY | O_CLOEXEC);
    for (;;) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        content(memory);
        long all = number("MemTotal"), unused = number("MemFree");
        long cache = number("Active(file)") + number("Inactive(file)");
        content(zones);
        unused += listed();
        content(disks);
        dprintf(port, "%ld.%03ld %ld %ld %ld %ld\n", (long)now.tv_sec, now.tv_nsec / 1000000, all,
                unused, cache, sectors());
        nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "sample"))
        sample();
    mknod("/bench/port", S_IFCHR | 0600, makedev(4, 66));
    mkdir("/bench/proc", 0755);
    if (fork() == 0) {
        char *child[] = {"@sampler", "sample", NULL};
        unshare(CLONE_NEWNS);
        mount("proc", "/bench/proc", "proc", 0, NULL);
        execv("/bench/sampler", child);
        _exit(1);
    }
    argv[0] = "/init";
    execv("/init", argv);
    return 1;
}
