/* SPDX-License-Identifier: MIT */
/*
 * Stands before the real init in user-mode Linux: makes BLOCKS block devices with brd.ko, and SPREAD
 * device-mapper devices with dm-mod.ko, which lie on the first of them. Both modules lie in /.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

extern char **environ;

/* From linux/dm-ioctl.h, which musl-gcc does not find. */
struct dm_ioctl {
    uint32_t version[3], data_size, data_start, target_count;
    int32_t open_count;
    uint32_t flags, event_nr, padding;
    uint64_t dev;
    char name[128], uuid[129], data[7];
};
struct dm_target_spec {
    uint64_t sector_start, length;
    int32_t status;
    uint32_t next;
    char target_type[16];
};
enum { DEV_CREATE = 3, DEV_SUSPEND = 6, TABLE_LOAD = 9 };

static int load(const char *path, const char *parameters)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 || syscall(SYS_finit_module, fd, parameters, 0) < 0;
}

static int call(int control, int command, int number)
{
    struct {
        struct dm_ioctl head;
        struct dm_target_spec target;
        char parameters[32];
    } data;
    memset(&data, 0, sizeof data);
    data.head.version[0] = 4;
    data.head.data_size = sizeof data;
    data.head.data_start = sizeof data.head;
    snprintf(data.head.name, sizeof data.head.name, "spread%d", number);
    if (command == TABLE_LOAD) {
        data.head.target_count = 1;
        data.target.length = 32;
        strcpy(data.target.target_type, "linear");
        strcpy(data.parameters, "1:0 0");
    }
    return ioctl(control, _IOWR(0xfd, command, struct dm_ioctl), &data) < 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    char parameters[64];
    snprintf(parameters, sizeof parameters, "rd_nr=%d rd_size=16", BLOCKS);
    mkdir("/dev", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", 0, "");
    if (load("/brd.ko", parameters) || load("/dm-mod.ko", ""))
        return 1;
    mknod("/control", S_IFCHR | 0600, makedev(10, 236));
    int control = open("/control", O_RDWR | O_CLOEXEC);
    for (int number = 0; number < SPREAD; number++)
        if (call(control, DEV_CREATE, number) || call(control, TABLE_LOAD, number) ||
            call(control, DEV_SUSPEND, number))
            return 2;
    close(control);
    umount("/dev");
    execve(NEXT, argv, environ);
    return 3;
}
