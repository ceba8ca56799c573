/* SPDX-License-Identifier: MIT */
/*
 * Boot a stage 1 in namespaces, and measure it. This is a C program and no shell script, because
 * resource usage survives exec: the shell's would count as stage 1's.
 *
 *   boot enter STATE CGROUP PROGRAM [WRAPPER ARGUMENT...]
 *       Run PROGRAM as /init and PID 1 of a tmpfs root. The directory STATE contains root/, the
 *       mount point of that root, block/, which is mounted on /sys/class/block, and the files kmsg,
 *       cmdline, filesystems, printk, conf. CGROUP is a directory of cgroup2 for PROGRAM, which stage 2 leaves,
 *       or "-". WRAPPER is a static program to run in place of /init, with STATE as descriptor 9.
 *   boot spawn COUNT CGROUP PROGRAM [ARGUMENT...]
 *       Start PROGRAM COUNT times, one after the other.
 *   boot true
 *       Do nothing.
 *   /init, without arguments
 *       Stage 2's init: print the resources used so far.
 *
 * Prints before and after PROGRAM a line "mark" with CLOCK_MONOTONIC in ns, the process's CPU time
 * in ns and its peak resident size in KiB; for each process of spawn a line "spawn" with wall-clock
 * time in ns, CPU time in us, and peak resident size. Exits with status 111 if a system call fails.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LEAVE_CGROUP = 8, STATE = 9, BROKEN = 111 };

extern char **environ;

static void need(int done, const char *what)
{
    if (done)
        return;
    fprintf(stderr, "boot: %s: %s\n", what, strerror(errno));
    exit(BROKEN);
}

static long long ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void mark(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    dprintf(1, "mark %lld %lld %ld\n", ns(CLOCK_MONOTONIC), ns(CLOCK_PROCESS_CPUTIME_ID),
            used.ru_maxrss);
}

static int join(const char *cgroup)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    need(file >= 0, path);
    return file;
}

static void copy(const char *from, const char *to, mode_t mode)
{
    char block[65536];
    ssize_t got;
    int source = open(from, O_RDONLY | O_CLOEXEC);
    need(source >= 0, from);
    int target = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
    need(target >= 0, to);
    while ((got = read(source, block, sizeof block)) > 0)
        need(write(target, block, got) == got, to);
    close(source);
    close(target);
}

static void bind_on(int state, const char *name, const char *target)
{
    char source[4096];
    snprintf(source, sizeof source, "/proc/self/fd/%d/%s", state, name);
    need(mount(source, target, "", MS_BIND, "") == 0, target);
}

/* Make a root like an initramfs's, with bind mounts over the files that differ between machines. */
static void make_root(const char *state, const char *program)
{
    static const char *const directories[] = {"dev", "proc", "sys", "etc"};
    int directory = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    need(directory >= 0, state);
    need(chdir(state) == 0, state);
    need(mount("tmpfs", "root", "tmpfs", 0, "mode=0755") == 0, "mount tmpfs");
    copy(program, "root/init", 0755);
    need(mkdir("root/etc", 0755) == 0, "mkdir etc");
    copy("conf", "root/etc/initoverlayfs.conf", 0644);
    need(chdir("root") == 0, "chdir root");
    for (unsigned at = 0; at < sizeof directories / sizeof *directories; at++)
        mkdir(directories[at], 0755);
    need(mount("devtmpfs", "dev", "devtmpfs", 0, "") == 0, "mount devtmpfs");
    need(mount("proc", "proc", "proc", 0, "") == 0, "mount proc");
    need(mount("sysfs", "sys", "sysfs", 0, "") == 0, "mount sysfs");
    bind_on(directory, "kmsg", "dev/kmsg");
    bind_on(directory, "cmdline", "proc/cmdline");
    bind_on(directory, "filesystems", "proc/filesystems");
    bind_on(directory, "printk", "proc/sys/kernel/printk_devkmsg");
    bind_on(directory, "block", "sys/class/block");
    need(syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
    need(umount2(".", MNT_DETACH) == 0, "umount");
}

static int enter(int count, char **words)
{
    if (count < 3)
        return 2;
    char *program[] = {"/init", NULL};
    int wrapper = count > 3 ? open(words[3], O_RDONLY | O_CLOEXEC) : -1;
    int state = open(words[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    need(count == 3 || (wrapper >= 0 && dup2(state, STATE) == STATE), "wrapper");
    need(unshare(CLONE_NEWNS | CLONE_NEWPID) == 0, "unshare");
    need(mount("", "/", "", MS_REC | MS_PRIVATE, "") == 0, "make / private");
    pid_t child = fork();
    need(child >= 0, "fork");
    if (child) {
        int status;
        need(waitpid(child, &status, 0) == child, "waitpid");
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int cgroup = -1;
    if (strcmp(words[1], "-") != 0) {
        char above[4096];
        snprintf(above, sizeof above, "%s/..", words[1]);
        need(dup2(join(above), LEAVE_CGROUP) == LEAVE_CGROUP, "dup2");
        cgroup = join(words[1]);
    }
    make_root(words[0], words[2]);
    need(cgroup < 0 || write(cgroup, "0", 1) == 1, "join cgroup");
    mark();
    if (wrapper >= 0)
        syscall(SYS_execveat, wrapper, "", words + 3, environ, AT_EMPTY_PATH);
    else
        execve("/init", program, environ);
    need(0, "exec");
    return BROKEN;
}

static int spawn(int count, char **words)
{
    if (count < 3)
        return 2;
    need(strcmp(words[1], "-") == 0 || write(join(words[1]), "0", 1) == 1, "join cgroup");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    for (int left = atoi(words[0]); left > 0; left--) {
        struct rusage used;
        pid_t child;
        int status;
        long long start = ns(CLOCK_MONOTONIC);
        errno = posix_spawn(&child, words[2], &actions, NULL, words + 2, environ);
        need(errno == 0 && wait4(child, &status, 0, &used) == child && status == 0, words[2]);
        long long took = ns(CLOCK_MONOTONIC) - start;
        long cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000L;
        cpu += used.ru_utime.tv_usec + used.ru_stime.tv_usec;
        printf("spawn %lld %ld %ld\n", took, cpu, used.ru_maxrss);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 1) {
        if (fcntl(LEAVE_CGROUP, F_GETFD) == 0 && write(LEAVE_CGROUP, "0", 1) != 1)
            return BROKEN;
        mark();
        return 0;
    }
    if (strcmp(argv[1], "enter") == 0)
        return enter(argc - 2, argv + 2);
    if (strcmp(argv[1], "spawn") == 0)
        return spawn(argc - 2, argv + 2);
    return strcmp(argv[1], "true") == 0 ? 0 : 2;
}
