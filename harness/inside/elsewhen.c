// SPDX-License-Identifier: MIT
// For LD_PRELOAD: show programs another date and another order of directory entries. Their clock is
// $ELSEWHEN seconds ahead of the real one. An odd ELSEWHEN reverses the order of entries.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long ahead(void) {
    const char *text = getenv("ELSEWHEN");
    return text ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *result) {
    int status = syscall(SYS_clock_gettime, clock, result);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        result->tv_sec += ahead();
    return status;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict result, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    result->tv_sec = now.tv_sec;
    result->tv_usec = now.tv_nsec / 1000;
    return 0;
}

// For UTIME_NOW the kernel would use the real clock, so replace it by the time that programs see.
static const struct timespec *stamped(const struct timespec given[2], struct timespec stamps[2]) {
    for (int i = 0; i < 2; i++) {
        if (given == NULL || given[i].tv_nsec == UTIME_NOW)
            clock_gettime(CLOCK_REALTIME, &stamps[i]);
        else
            stamps[i] = given[i];
    }
    return stamps;
}

int utimensat(int directory, const char *path, const struct timespec times[2], int flags) {
    struct timespec stamps[2];
    return syscall(SYS_utimensat, directory, path, stamped(times, stamps), flags);
}

int futimens(int file, const struct timespec times[2]) {
    struct timespec stamps[2];
    return syscall(SYS_utimensat, file, NULL, stamped(times, stamps), 0);
}

// Only one directory at a time is read in reverse order. Others that are read meanwhile, such as
// its subdirectories, keep their order.
static DIR *reading;
static struct dirent *entries;
static size_t count;

struct dirent *readdir(DIR *directory) {
    static struct dirent *(*next)(DIR *);
    struct dirent *entry;

    if (!next)
        next = (struct dirent * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir");
    if (ahead() % 2 == 0 || (reading && reading != directory))
        return next(directory);
    if (!reading) {
        free(entries);
        entries = NULL;
        for (count = 0; (entry = next(directory)); count++) {
            entries = realloc(entries, (count + 1) * sizeof *entries);
            memcpy(&entries[count], entry, entry->d_reclen);
        }
        reading = directory;
    }
    return count ? &entries[--count] : NULL;
}

struct dirent64 *readdir64(DIR *directory) {
    return (struct dirent64 *)readdir(directory);
}

int closedir(DIR *directory) {
    static int (*end)(DIR *);
    if (!end)
        end = (int (*)(DIR *))dlsym(RTLD_NEXT, "closedir");
    if (reading == directory)
        reading = NULL;
    return end(directory);
}
