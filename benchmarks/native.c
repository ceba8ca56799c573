/* SPDX-License-Identifier: MIT */
/*
 * The baseline for storage-init in namespaces: a sequential C program that does only the work of
 * one boot. It finds an ext4 boot filesystem by UUID and attaches an EROFS image. It waits for no
 * device, loads no modules, and has no fallback: any error ends it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BOOT "/stage1/boot"
#define IMAGE "/stage1/image"
#define UPPER "/stage1/upper"
#define NEW_ROOT "/initoverlayfs"

extern char **environ;

static int kmsg = 2;

static void say(const char *format, ...)
{
    char line[900];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length < (int)sizeof line && write(kmsg, line, length) < 0)
        return;
}

static void need(int done, const char *what)
{
    if (done)
        return;
    say("<3>native: %s: %s\n", what, strerror(errno));
    exit(1);
}

static dev_t device_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_dev : 0;
}

static void api_filesystems(void)
{
    static const char *const kinds[][3] = {
        {"devtmpfs", "/dev", "mode=0755"},
        {"proc", "/proc", ""},
        {"sysfs", "/sys", ""},
        {"tmpfs", "/run", "mode=0755,size=20%"},
    };
    dev_t root = device_of("/");
    for (int at = 0; at < 4; at++) {
        const char *target = kinds[at][1];
        mkdir(target, 0755);
        if (device_of(target) == root)
            need(mount(kinds[at][0], target, kinds[at][0], MS_NOSUID, kinds[at][2]) == 0, target);
    }
}

static void read_text(const char *path, char *text, size_t size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? 0 : read(file, text, size - 1);
    text[got < 0 ? 0 : got] = 0;
    if (file >= 0)
        close(file);
}

/* Copy the value of `key`, the rest of the first line that starts with it; return NULL if none. */
static char *setting(const char *text, const char *key, char *value, size_t size)
{
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            snprintf(value, size, "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
            return value;
        }
    }
    return NULL;
}

/* fs/ext4/ext4.h: struct ext4_super_block, at byte 1024. */
static int is_ext4(const char *path, const char *uuid)
{
    unsigned char head[8192];
    char text[37], *end = text;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t got = pread(file, head, sizeof head, 0);
    close(file);
    if (got < (ssize_t)sizeof head || head[1080] != 0x53 || head[1081] != 0xef)
        return 0;
    for (int at = 0; at < 16; at++)
        end += sprintf(end, at == 4 || at == 6 || at == 8 || at == 10 ? "-%02x" : "%02x",
                       head[1128 + at]);
    return strcasecmp(text, uuid) == 0;
}

static void find(const char *uuid, char *path, size_t size)
{
    DIR *devices = opendir("/sys/class/block");
    need(devices != NULL, "/sys/class/block");
    int found = 0;
    for (struct dirent *entry; !found && (entry = readdir(devices));) {
        char sectors[320], text[32];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(sectors, sizeof sectors, "/sys/class/block/%s/size", entry->d_name);
        read_text(sectors, text, sizeof text);
        snprintf(path, size, "/dev/%s", entry->d_name);
        found = atoll(text) > 0 && is_ext4(path, uuid);
    }
    closedir(devices);
    errno = ENODEV;
    need(found, uuid);
    say("<6>native: boot filesystem UUID=%s is %s (ext4)\n", uuid, path);
}

/* fs/erofs/erofs_fs.h: struct erofs_super_block, at byte 1024. */
static void check_image(const char *path)
{
    unsigned char head[2048];
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    need(file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode), path);
    errno = EINVAL;
    need(pread(file, head, sizeof head, 0) == sizeof head &&
             memcmp(head + 1024, "\xe2\xe1\xf5\xe0", 4) == 0, path);
    close(file);
}

static void by_loop(const char *path)
{
    struct loop_config config = {.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR};
    char device[32];
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), loop = -1;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    need(control >= 0 && file >= 0, path);
    config.fd = file;
    for (int attempt = 0; attempt < 16 && loop < 0; attempt++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        snprintf(device, sizeof device, "/dev/loop%d", number);
        loop = open(device, O_RDONLY | O_CLOEXEC);
        if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) != 0) {
            close(loop);
            loop = -1;
        }
    }
    need(loop >= 0 && mount(device, IMAGE, "erofs", MS_RDONLY, "") == 0, "loop");
    close(loop);
    close(file);
    close(control);
}

static void attach(const char *path)
{
    check_image(path);
    mkdir(IMAGE, 0755);
    const char *how = "file-backed";
    if (mount(path, IMAGE, "erofs", MS_RDONLY, "") != 0) {
        by_loop(path);
        how = "loop";
    }
    say("<6>native: image %s attached: %s erofs\n", path + strlen(BOOT), how);
}

static void overlay(void)
{
    mkdir(UPPER, 0755);
    need(mount("tmpfs", UPPER, "tmpfs", MS_NODEV, "mode=0755,size=50%") == 0, UPPER);
    mkdir(UPPER "/upper", 0755);
    mkdir(UPPER "/work", 0755);
    mkdir(NEW_ROOT, 0755);
    static const char data[] = "lowerdir=" IMAGE ",upperdir=" UPPER "/upper,workdir=" UPPER "/work";
    need(mount("overlay", NEW_ROOT, "overlay", 0, data) == 0, NEW_ROOT);
}

/* Delete a directory's content, but cross no mount point. Ignores errors. */
static void empty(int directory, dev_t device)
{
    DIR *listing = fdopendir(directory);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        struct stat status;
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_dev != device)
            continue;
        if (S_ISDIR(status.st_mode))
            empty(openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), device);
        unlinkat(directory, name, S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0);
    }
    if (listing)
        closedir(listing);
}

static void switch_root(void)
{
    static const char *const moved[][2] = {{"/dev", NEW_ROOT "/dev"},
                                           {"/proc", NEW_ROOT "/proc"},
                                           {"/sys", NEW_ROOT "/sys"},
                                           {"/run", NEW_ROOT "/run"}};
    static const char *const left[] = {UPPER, IMAGE, BOOT};
    int old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    need(old >= 0 && fstat(old, &status) == 0, "/");
    for (int at = 0; at < 3; at++)
        need(umount2(left[at], MNT_DETACH) == 0, left[at]);
    for (int at = 0; at < 4; at++)
        need(mount(moved[at][0], moved[at][1], "", MS_MOVE, "") == 0, moved[at][1]);
    need(chdir(NEW_ROOT) == 0, NEW_ROOT);
    if (syscall(SYS_pivot_root, ".", ".") == 0) {
        umount2(".", MNT_DETACH);
        close(old);
    } else {
        need(mount(".", "/", "", MS_MOVE, "") == 0 && chroot(".") == 0, "switch root");
        empty(old, status.st_dev);
    }
    need(chdir("/") == 0, "/");
    say("<6>native: root switched\n");
}

int main(int argc, char **argv)
{
    char text[4096], value[256], device[300], image[300];
    struct utsname system;
    (void)argc;
    api_filesystems();
    int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    if (log >= 0)
        kmsg = log;
    uname(&system);
    say("<6>native: on Linux %s\n", system.release);
    read_text("/etc/initoverlayfs.conf", text, sizeof text);
    need(setting(text, "bootfs", value, sizeof value) && strncmp(value, "UUID=", 5) == 0, "bootfs");
    find(value + 5, device, sizeof device);
    mkdir("/stage1", 0755);
    mkdir(BOOT, 0755);
    need(mount(device, BOOT, "ext4", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "") == 0, BOOT);
    snprintf(image, sizeof image, "%s/initoverlayfs-%s.img", BOOT, system.release);
    attach(image);
    overlay();
    need(access(NEW_ROOT "/init", X_OK) == 0, "init");
    switch_root();
    say("<6>native: exec /init\n");
    argv[0] = "/init";
    execve("/init", argv, environ);
    need(0, "exec");
}
