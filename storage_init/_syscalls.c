/* SPDX-License-Identifier: MIT */
/*
 * The system calls of _syscalls.h: a short function for each, without policy. They are one file,
 * because both interpreters link one object.
 */

#define _GNU_SOURCE
#include "_syscalls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/dm-ioctl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/keyctl.h>
#include <linux/loop.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(call) ((call) < 0 ? -errno : 0)

static int value(long result) { return result < 0 ? -errno : (int)result; }

/* Mounts and roots. */

int sc_mount(const char *source, const char *target, const char *type, unsigned long flags,
             const char *data)
{
    return CHECK(mount(source, target, type, flags, data));
}

int sc_umount(const char *target, int flags) { return CHECK(umount2(target, flags)); }

int sc_pivot_root(const char *new_root, const char *put_old)
{
    return CHECK(syscall(SYS_pivot_root, new_root, put_old));
}

int sc_chroot(const char *path) { return CHECK(chroot(path)); }

int sc_chdir(const char *path) { return CHECK(chdir(path)); }

long long sc_fs_magic(const char *path)
{
    struct statfs found;
    return statfs(path, &found) < 0 ? -errno : (long long)(uint32_t)found.f_type;
}

/* Files. */

int sc_open(int dirfd, const char *path, int flags, int mode)
{
    return value(openat(dirfd, path, flags | O_CLOEXEC, mode));
}

int sc_open_directory(int dirfd, const char *path)
{
    return value(openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

int sc_open_beneath(int dirfd, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    return value(syscall(SYS_openat2, dirfd, path, &how, sizeof how));
}

int sc_memfd(const char *name, long long size)
{
    int fd = (int)syscall(SYS_memfd_create, name, 1 /* MFD_CLOEXEC */);
    if (fd < 0 || ftruncate(fd, size) == 0)
        return value(fd);
    int error = errno;
    close(fd);
    return -error;
}

int sc_close(int fd) { return CHECK(close(fd)); }

int sc_read(int fd, char *buffer, int size) { return value(read(fd, buffer, size)); }

int sc_pread(int fd, char *buffer, int size, long long offset)
{
    return value(pread(fd, buffer, size, offset));
}

int sc_write(int fd, const char *buffer, int size) { return value(write(fd, buffer, size)); }

int sc_mkdir(int dirfd, const char *path, int mode) { return CHECK(mkdirat(dirfd, path, mode)); }

int sc_unlink(int dirfd, const char *path, int flags) { return CHECK(unlinkat(dirfd, path, flags)); }

int sc_readlink(const char *path, char *buffer, int size)
{
    return value(readlink(path, buffer, size));
}

int sc_stat(int dirfd, const char *path, int flags, char *buffer)
{
    struct stat found;
    if (fstatat(dirfd, path, &found, flags) < 0)
        return -errno;
    int64_t out[5] = {found.st_mode, found.st_dev, found.st_ino, found.st_rdev, found.st_size};
    memcpy(buffer, out, sizeof out);
    return 0;
}

/* struct linux_dirent64 of getdents64(2), which no header for user space declares. */
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

int sc_getdents(int fd, char *buffer, int size)
{
    /* Each entry of the buffer is shorter than the one it is made from, so all of them fit. */
    char read_buffer[8192] __attribute__((aligned(8)));
    int used = 0;
    do {
        long got = syscall(SYS_getdents64, fd, read_buffer,
                           size < (int)sizeof read_buffer ? size : (int)sizeof read_buffer);
        if (got <= 0)
            return value(got);
        for (long at = 0; at < got;) {
            const struct entry *entry = (const struct entry *)(read_buffer + at);
            at += entry->length;
            if (!strcmp(entry->name, ".") || !strcmp(entry->name, ".."))
                continue;
            buffer[used++] = (char)entry->type;
            size_t length = strlen(entry->name) + 1;
            memcpy(buffer + used, entry->name, length);
            used += (int)length;
        }
    } while (used == 0); /* 0 means the end, but a read may return only . and .. */
    return used;
}

/* Processes. */

int sc_fork(void) { return value(fork()); }

int sc_exit(int code) { _exit(code); }

enum { MAX_STRINGS = 256 };

/* Convert concatenated strings to the NULL-terminated array for execve. */
static int unpack(const char *strings, int size, const char **array)
{
    int count = 0;
    if (size > 0 && strings[size - 1] != '\0')
        return -EINVAL;
    for (int at = 0; at < size; at += (int)strlen(strings + at) + 1) {
        if (count == MAX_STRINGS)
            return -E2BIG;
        array[count++] = strings + at;
    }
    array[count] = NULL;
    return 0;
}

int sc_execve(const char *path, const char *argv, int argv_size, const char *envp, int envp_size)
{
    const char *arguments[MAX_STRINGS + 1], *environment[MAX_STRINGS + 1];
    int bad = unpack(argv, argv_size, arguments);
    if (!bad)
        bad = unpack(envp, envp_size, environment);
    return bad ? bad : CHECK(execve(path, (char **)arguments, (char **)environment));
}

int sc_waitpid(int pid, int options, char *status)
{
    int found = 0;
    int result = value(waitpid(pid, &found, options));
    int32_t out = found;
    memcpy(status, &out, sizeof out);
    return result;
}

int sc_getpid(void) { return getpid(); }

int sc_signals_default(void)
{
    sigset_t none;
    /* Interpreters ignore these signals. execve resets only those that have a handler. */
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    sigemptyset(&none);
    return CHECK(sigprocmask(SIG_SETMASK, &none, NULL));
}

int sc_signalfd_child(void)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &child, NULL) < 0)
        return -errno;
    return value(signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC));
}

int sc_take_terminal(int fd)
{
    setsid();
    ioctl(fd, TIOCSCTTY, 1); /* if this fails, only Ctrl-C does not work */
    for (int standard = 0; standard <= 2; standard++)
        if (dup2(fd, standard) < 0)
            return -errno;
    return 0;
}

int sc_standard_fds(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        int got = open("/dev/console", O_RDWR | O_NOCTTY | O_NONBLOCK);
        if (got < 0)
            got = open("/dev/null", O_RDWR);
        if (got < 0)
            got = open("/", O_PATH); /* there are no devices yet, but the fd must not stay free */
        if (got != fd)
            return got < 0 ? -errno : -EBADF;
        int flags = fcntl(got, F_GETFL);
        if (!(flags & O_PATH))
            fcntl(got, F_SETFL, flags & ~O_NONBLOCK);
    }
    return 0;
}

/* Waiting. */

int sc_poll(const char *fds, int count, int timeout_ms)
{
    struct pollfd wait[16];
    int ready = 0;
    if (count < 0 || count > 16 || timeout_ms < 0)
        return -EINVAL;
    for (int i = 0; i < count; i++) {
        int32_t fd;
        memcpy(&fd, fds + i * (int)sizeof fd, sizeof fd);
        wait[i] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    if (poll(wait, (nfds_t)count, timeout_ms) < 0)
        return -errno;
    for (int i = 0; i < count; i++)
        ready |= (wait[i].revents != 0) << i;
    return ready;
}

long long sc_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Uevents. */

int sc_uevent_open(int group, int receive_buffer)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = (unsigned)group};
    int on = 1;
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer);
    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int sc_uevent_receive(int fd, char *buffer, int size)
{
    struct sockaddr_nl sender = {0};
    struct iovec part = {.iov_base = buffer, .iov_len = (size_t)size};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(struct ucred))];
    } control = {0};
    struct msghdr message = {.msg_name = &sender, .msg_namelen = sizeof sender,
                             .msg_iov = &part, .msg_iovlen = 1,
                             .msg_control = &control, .msg_controllen = sizeof control};
    long got = recvmsg(fd, &message, MSG_DONTWAIT);
    if (got < 0)
        return -errno;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    struct ucred from;
    if ((message.msg_flags & MSG_TRUNC) || header == NULL || header->cmsg_level != SOL_SOCKET ||
        header->cmsg_type != SCM_CREDENTIALS)
        return 0;
    memcpy(&from, CMSG_DATA(header), sizeof from);
    if (sender.nl_groups == 1 ? sender.nl_pid != 0 : sender.nl_groups != 2 || from.uid != 0)
        return 0;
    return (int)got;
}

/* Devices, modules, machine. */

int sc_finit_module(int fd, const char *parameters, int flags)
{
    return CHECK(syscall(SYS_finit_module, fd, parameters, flags));
}

int sc_loop_get_free(int control_fd) { return value(ioctl(control_fd, LOOP_CTL_GET_FREE)); }

int sc_loop_configure(int loop_fd, int backing_fd, unsigned int flags, const char *file_name,
                      long long offset, long long size)
{
    struct loop_config configuration = {.fd = (uint32_t)backing_fd};
    configuration.info.lo_flags = flags;
    configuration.info.lo_offset = (uint64_t)offset;
    configuration.info.lo_sizelimit = (uint64_t)size;
    snprintf((char *)configuration.info.lo_file_name, sizeof configuration.info.lo_file_name, "%s",
             file_name);
    return CHECK(ioctl(loop_fd, LOOP_CONFIGURE, &configuration));
}

/* Write one entry of sc_fiemap and sc_fibmap; returns how many there are then. */
static int put_extent(char *buffer, int count, int64_t logical, int64_t physical, int64_t length,
                      int64_t flags)
{
    int64_t entry[4] = {logical, physical, length, flags};
    memcpy(buffer + (size_t)count * sizeof entry, entry, sizeof entry);
    return count + 1;
}

int sc_fiemap(int fd, long long start, char *buffer, int size)
{
    enum { AT_ONCE = 64 };
    union {
        struct fiemap map;
        char space[sizeof(struct fiemap) + AT_ONCE * sizeof(struct fiemap_extent)];
    } request = {0};
    int most = size / (int)(4 * sizeof(int64_t)), count = 0;
    request.map.fm_start = (uint64_t)start;
    request.map.fm_length = FIEMAP_MAX_OFFSET - (uint64_t)start;
    request.map.fm_extent_count = (uint32_t)(most < AT_ONCE ? most : AT_ONCE);
    if (most < 1)
        return -EINVAL;
    if (ioctl(fd, FS_IOC_FIEMAP, &request.map) < 0)
        return -errno;
    for (uint32_t i = 0; i < request.map.fm_mapped_extents; i++) {
        const struct fiemap_extent *extent = &request.map.fm_extents[i];
        count = put_extent(buffer, count, (int64_t)extent->fe_logical, (int64_t)extent->fe_physical,
                           (int64_t)extent->fe_length, extent->fe_flags);
    }
    return count;
}

int sc_fibmap(int fd, long long start, char *buffer, int size)
{
    int most = size / (int)(4 * sizeof(int64_t)), count = 0, block_size;
    long long first = -1, from = 0, end;
    struct stat found;
    if (fstat(fd, &found) < 0 || ioctl(fd, FIGETBSZ, &block_size) < 0)
        return -errno;
    if (most < 1 || block_size < 1 || start < 0)
        return -EINVAL;
    end = (found.st_size + block_size - 1) / block_size;
    for (long long block = start / block_size; block <= end && count < most; block++) {
        int at = block < end ? (int)block : 0; /* in: of the file, out: of the device, or 0 */
        if (block > INT32_MAX)
            return -EFBIG;
        if (block < end && ioctl(fd, FIBMAP, &at) < 0)
            return -errno;
        if (first >= 0 && at != (int)(from + block - first)) {
            count = put_extent(buffer, count, first * block_size, from * block_size,
                               (block - first) * block_size, 0);
            first = -1;
        }
        if (first < 0 && block < end && at > 0) {
            first = block;
            from = at;
        }
    }
    return count;
}

int sc_xflags(int fd, char *buffer)
{
    struct fsxattr found;
    if (ioctl(fd, FS_IOC_FSGETXATTR, &found) < 0)
        return -errno;
    memcpy(buffer, &found.fsx_xflags, sizeof found.fsx_xflags);
    return 0;
}

int sc_btrfs_search(int fd, char *buffer) { return CHECK(ioctl(fd, BTRFS_IOC_TREE_SEARCH, buffer)); }

int sc_btrfs_forget(int control_fd)
{
    struct btrfs_ioctl_vol_args every = {0};
    return CHECK(ioctl(control_fd, BTRFS_IOC_FORGET_DEV, &every));
}

/* Call an ioctl of device-mapper for one device. Source: linux/dm-ioctl.h. */
static int device_mapper(int control_fd, unsigned long command, struct dm_ioctl *about,
                         size_t size, const char *name)
{
    if (strlen(name) >= sizeof about->name)
        return -ENAMETOOLONG;
    about->version[0] = DM_VERSION_MAJOR; /* minor 0: any version of the kernel */
    about->data_size = (uint32_t)size;
    about->data_start = sizeof *about;
    strcpy(about->name, name);
    return CHECK(ioctl(control_fd, command, about));
}

int sc_dm_create(int control_fd, const char *name, int writable)
{
    struct dm_ioctl about = {.flags = writable ? 0 : DM_READONLY_FLAG};
    int result = device_mapper(control_fd, DM_DEV_CREATE, &about, sizeof about, name);
    /* dev has the layout of st_dev in struct stat. */
    return result < 0 ? result : (int)((about.dev & 0xff) | (about.dev >> 12 & 0xfff00));
}

int sc_dm_load(int control_fd, const char *name, int writable, const char *targets, int size,
               int count)
{
    struct {
        struct dm_ioctl about;
        char targets[16384];
    } table = {.about = {.flags = writable ? 0 : DM_READONLY_FLAG, .target_count = (uint32_t)count}};
    if (size < 0 || (size_t)size > sizeof table.targets)
        return -E2BIG;
    memcpy(table.targets, targets, (size_t)size);
    return device_mapper(control_fd, DM_TABLE_LOAD, &table.about, sizeof table, name);
}

int sc_dm_resume(int control_fd, const char *name, int writable)
{
    struct dm_ioctl about = {.flags = writable ? 0 : DM_READONLY_FLAG};
    return device_mapper(control_fd, DM_DEV_SUSPEND, &about, sizeof about, name);
}

int sc_dm_remove(int control_fd, const char *name)
{
    struct dm_ioctl about = {.flags = DM_DEFERRED_REMOVE};
    return device_mapper(control_fd, DM_DEV_REMOVE, &about, sizeof about, name);
}

int sc_add_key(const char *description, const char *payload, int size)
{
    return value(syscall(SYS_add_key, "user", description, payload, (size_t)size,
                         KEY_SPEC_PROCESS_KEYRING));
}

int sc_reboot(unsigned int command)
{
    /* LINUX_REBOOT_MAGIC1 and LINUX_REBOOT_MAGIC2 */
    return CHECK(syscall(SYS_reboot, 0xfee1dead, 672274793, command, NULL));
}

int sc_sync(void)
{
    sync();
    return 0;
}

int sc_strerror(int error, char *buffer, int size)
{
    const char *text = strerror(error);
    int length = (int)strlen(text) < size ? (int)strlen(text) : size;
    memcpy(buffer, text, (size_t)length);
    return length;
}
