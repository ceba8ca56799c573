/* SPDX-License-Identifier: MIT */
/*
 * The init of the tiny stage 2: reports the state of the system on ttyS1 as "key value" lines, then
 * powers the machine off. Requires /dev, /proc and /run, which stage 1 mounts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

extern char **environ;

static int port = -1;

/* Write a line to the port, truncated to 4 KiB. */
static void say(const char *format, ...)
{
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2)
        length = sizeof line - 2;
    line[length++] = '\n';
    for (int done = 0; done < length;) {
        int written = write(port, line + done, length - done);
        if (written <= 0)
            return;
        done += written;
    }
}

/* Write the lines of a file (at most 64 KiB, no empty ones), each after the key, or an error. */
static void say_file(const char *key, const char *path)
{
    static char text[65536];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        say("error open %s: %s", path, strerror(errno));
        return;
    }
    int length = 0, got;
    while ((got = read(file, text + length, sizeof text - 1 - length)) > 0)
        length += got;
    close(file);
    text[length] = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line)
            say("%s %s", key, line);
}

/* Report whether the root directory is writable, and whether 64 KiB fill its upper layer. */
static void say_writable(void)
{
    int file = open("/written", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    say("writable %s", file >= 0 && write(file, "x", 1) == 1 ? "yes" : strerror(errno));
    static char rest[65536]; /* not const: zeros in the program would be holes in a filesystem */
    long got = 1;
    for (long done = 0; done < (long)sizeof rest && got > 0; done += got)
        got = write(file, rest + done, sizeof rest - done);
    say("filled %s", got > 0 ? "no" : strerror(errno));
    if (file >= 0)
        close(file);
}

/* Report for each disk and partition whether it can be opened exclusively, so nothing claims it. */
static void say_claims(void)
{
    char line[256], name[128], path[160];
    FILE *list = fopen("/proc/partitions", "re");
    while (list && fgets(line, sizeof line, list)) {
        if (sscanf(line, "%*u %*u %*u %127s", name) != 1 || strncmp(name, "loop", 4) == 0 ||
            strncmp(name, "dm-", 3) == 0)
            continue;
        snprintf(path, sizeof path, "/dev/%s", name);
        int disk = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
        say("exclusive %s %s", name, disk < 0 ? strerror(errno) : "yes");
        if (disk >= 0)
            close(disk);
    }
    if (list)
        fclose(list);
}

/* Mount what the variable GREETING_MOUNT names, DEVICE:TYPE, read-write, and write to it. */
static void say_mounted(void)
{
    char *device = getenv("GREETING_MOUNT"), *type = device ? strchr(device, ':') : NULL;
    if (!type)
        return;
    *type++ = 0;
    mkdir("/run/mounted", 0755);
    if (mount(device, "/run/mounted", type, 0, "") < 0) {
        say("mounted %s", strerror(errno));
        return;
    }
    int file = open("/run/mounted/written", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    say("mounted %s", file >= 0 && write(file, "x", 1) == 1 ? "yes" : strerror(errno));
    if (file >= 0)
        close(file);
    umount("/run/mounted");
}

int main(int argc, char **argv)
{
    struct stat status;
    struct statfs root;
    int open_count = 0;
    for (int descriptor = 0; descriptor < 3; descriptor++)
        open_count += fstat(descriptor, &status) == 0;
    for (int descriptor = 3; descriptor < 256; descriptor++)
        if (fstat(descriptor, &status) == 0)
            open_count = -descriptor;
    port = open("/dev/ttyS1", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    dprintf(2, "greeting: hello from stage 2, PID %d\n", (int)getpid());
    say("greeting hello from stage 2");
    say("pid %d", (int)getpid());
    say("descriptors %d", open_count);
    for (int i = 0; i < argc; i++)
        say("argument %s", argv[i]);
    for (char **word = environ; *word; word++)
        say("environment %s", *word);
    if (statfs("/", &root) == 0)
        say("root %lx", (unsigned long)root.f_type);
    say_writable();
    say_file("mount", "/proc/self/mountinfo");
    say_file("module", "/proc/modules");
    say_file("release", "/etc/os-release");
    say_file("initrd", "/etc/initrd-release");
    say_file("boot", "/run/initoverlayfs/boot.json");
    say_claims();
    say_mounted();
    say("end");
    fsync(port);
    /* Closing waits until the UART has sent the tty's buffer. */
    close(port);
    reboot(RB_POWER_OFF);
    return 1;
}
