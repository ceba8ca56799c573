// SPDX-License-Identifier: MIT
// The baseline for stage 1: boot from an image in a file on the boot filesystem, as storage-init
// does, but sequentially and without detecting any hardware. /modules lists the paths of the
// modules to load, one per line, in order. Compile with the macros BOOT, a device, BOOT_TYPE, the
// type of its filesystem, and IMAGE, a path in it. On an error PID 1 exits, and the kernel panics.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define RAMFS 0x858458f6
#define TMPFS 0x01021994

static int kmsg = -1;

static void say(const char *text, const char *more) {
    char line[256];
    int length = snprintf(line, sizeof(line), "<6>initoverlayfs: %s%s\n", text, more);
    if (kmsg >= 0)
        (void)!write(kmsg, line, length);
}

static void must(int result, const char *what) {
    if (result >= 0)
        return;
    say(what, strerror(errno));
    _exit(1);
}

static void attach(const char *source, const char *target, const char *type, unsigned long flags,
                   const char *data) {
    mkdir(target, 0755);
    must(mount(source, target, type, flags, data), target);
}

static void load(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd, path);
    if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
        must(-1, path);
    close(fd);
}

static void load_modules(void) {
    char line[256];
    FILE *list = fopen("/modules", "r");
    if (!list)
        must(-1, "/modules");
    while (fgets(line, sizeof(line), list)) {
        line[strcspn(line, "\n")] = 0;
        load(line);
    }
    fclose(list);
}

static void wait_for(const char *device) {
    struct timespec pause = {0, 1000000};
    for (int tries = 0; access(device, F_OK); tries++) {
        if (tries == 30000)
            must(-1, device);
        nanosleep(&pause, NULL);
    }
}

// Delete a directory's content, but cross no mount point. Ignores errors.
static void empty(int directory, dev_t device) {
    DIR *stream = fdopendir(directory);
    struct dirent *entry;
    struct stat found;
    if (!stream)
        return;
    while ((entry = readdir(stream))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (fstatat(directory, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) ||
            found.st_dev != device)
            continue;
        if (S_ISDIR(found.st_mode)) {
            int below = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
            if (below >= 0)
                empty(below, device);
            unlinkat(directory, entry->d_name, AT_REMOVEDIR);
        } else {
            unlinkat(directory, entry->d_name, 0);
        }
    }
    closedir(stream);
}

static void switch_root(void) {
    static const char *const moved[] = {"/dev", "/proc", "/sys", "/run"};
    char target[64];
    struct statfs kind;
    struct stat root;
    int old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(old, "/");
    must(fstatfs(old, &kind), "statfs /");
    must(fstat(old, &root), "stat /");
    if (getpid() != 1 || (kind.f_type != RAMFS && kind.f_type != TMPFS))
        must(-1, "/ is no initramfs");
    for (int i = 0; i < 4; i++) {
        snprintf(target, sizeof(target), "/new%s", moved[i]);
        mkdir(target, 0755);
        must(mount(moved[i], target, NULL, MS_MOVE, NULL), target);
    }
    must(umount2("/image", MNT_DETACH), "detach /image");
    must(umount2("/upper", MNT_DETACH), "detach /upper");
    must(umount2("/boot", MNT_DETACH), "detach /boot");
    must(chdir("/new"), "/new");
    must(mount(".", "/", NULL, MS_MOVE, NULL), "move /new");
    must(chroot("."), "chroot");
    must(chdir("/"), "chdir");
    empty(old, root.st_dev);
}

int main(int argc, char **argv) {
    (void)argc;
    attach("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
    attach("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    attach("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    attach("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV | MS_STRICTATIME, "mode=0755,size=20%");
    kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    load_modules();
    wait_for(BOOT);
    attach(BOOT, "/boot", BOOT_TYPE, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    attach("/boot" IMAGE, "/image", "erofs", MS_RDONLY, NULL);
    attach("tmpfs", "/upper", "tmpfs", MS_NODEV, "mode=0755,size=50%");
    mkdir("/upper/upper", 0755);
    mkdir("/upper/work", 0755);
    attach("overlay", "/new", "overlay", 0,
           "lowerdir=/image,upperdir=/upper/upper,workdir=/upper/work,volatile");
    switch_root();
    say("exec ", "/init");
    execv("/init", argv);
    must(-1, "/init: ");
    return 1;
}
