/* SPDX-License-Identifier: MIT */
/*
 * The system calls of storage-init. Arguments are integers, NUL-terminated
 * strings, and buffers that the caller owns. Each function returns >= 0, or
 * -errno. No function prints, allocates memory for the caller or keeps state.
 * A NULL string is passed to the system call as NULL.
 *
 * cffi's cdef (storage_init/_syscalls_build.py) reads everything below the
 * marker: prototypes only, no preprocessor lines.
 */
#ifndef STORAGE_INIT_SYSCALLS_H
#define STORAGE_INIT_SYSCALLS_H
/* cdef */

/* Mounts and roots. */
int sc_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data);
int sc_umount(const char *target, int flags);
int sc_pivot_root(const char *new_root, const char *put_old);
int sc_chroot(const char *path);
int sc_chdir(const char *path);
long long sc_fs_magic(const char *path); /* f_type of statfs, unsigned 32 bits */

/* Files. Paths are relative to dirfd (AT_FDCWD: -100). */
int sc_open(int dirfd, const char *path, int flags, int mode); /* adds O_CLOEXEC */
int sc_open_directory(int dirfd, const char *path); /* O_RDONLY | O_DIRECTORY | O_NOFOLLOW */
/* openat2 for reading. -EXDEV if .. or a symbolic link leads out. Does not block on a FIFO. */
int sc_open_beneath(int dirfd, const char *path);
int sc_memfd(const char *name, long long size); /* a file in memory that consists of one hole */
int sc_close(int fd);
int sc_read(int fd, char *buffer, int size);
int sc_pread(int fd, char *buffer, int size, long long offset);
int sc_write(int fd, const char *buffer, int size);
int sc_mkdir(int dirfd, const char *path, int mode);
int sc_unlink(int dirfd, const char *path, int flags);
int sc_readlink(const char *path, char *buffer, int size);
/* fstatat. Writes five native int64: mode, dev, ino, rdev, size. */
int sc_stat(int dirfd, const char *path, int flags, char *buffer);
/* Writes entries "d_type byte, name, NUL", without "." and "..". 0 at the end of the directory. */
int sc_getdents(int fd, char *buffer, int size);

/* Processes. argv and envp are concatenated NUL-terminated strings. */
int sc_fork(void);
int sc_exit(int code); /* _exit: does not return */
int sc_execve(const char *path, const char *argv, int argv_size, const char *envp, int envp_size);
int sc_waitpid(int pid, int options, char *status); /* writes a native int32 */
int sc_getpid(void);
int sc_signals_default(void); /* none ignored, none blocked, as an executed program expects */
int sc_signalfd_child(void);  /* blocks SIGCHLD; returns a non-blocking signalfd for it */
/* Starts a session. fd becomes fds 0-2 and, if possible, the controlling terminal. */
int sc_take_terminal(int fd);
int sc_standard_fds(void); /* opens /dev/console, /dev/null or / on closed fds 0-2 */

/* Waiting. fds: count native int32, at most 16. Returns a bit mask of the fds with
 * input, hang-up or error; 0 after timeout_ms. -EINVAL for a negative timeout. */
int sc_poll(const char *fds, int count, int timeout_ms);
long long sc_clock_ns(void); /* CLOCK_MONOTONIC */

/* Uevents (NETLINK_KOBJECT_UEVENT). Group 1: from the kernel; group 2: from udev. */
int sc_uevent_open(int group, int receive_buffer);
/* Receives one message, non-blocking. 0 for a message to ignore: it did not fit, or its sender
 * is neither the kernel (group 1) nor a process of uid 0 (group 2). */
int sc_uevent_receive(int fd, char *buffer, int size);

/* Devices, modules, machine. */
int sc_finit_module(int fd, const char *parameters, int flags);
int sc_loop_get_free(int control_fd);
int sc_loop_configure(int loop_fd, int backing_fd, unsigned int flags, const char *file_name,
                      long long offset, long long size);
/*
 * Extents of a file from byte `start` on. Write entries of four native int64: logical and physical
 * offset and length in bytes, and FIEMAP's flags. Return the number of entries, 0 after the last
 * one. Holes have no entry.
 */
int sc_fiemap(int fd, long long start, char *buffer, int size);
int sc_fibmap(int fd, long long start, char *buffer, int size); /* by FIBMAP, for vfat */
int sc_xflags(int fd, char *buffer); /* fsx_xflags of FS_IOC_FSGETXATTR, as a native uint32 */
/* BTRFS_IOC_TREE_SEARCH. buffer: a struct btrfs_ioctl_search_args, 4096 bytes. */
int sc_btrfs_search(int fd, char *buffer);
/* BTRFS_IOC_FORGET_DEV of every device that no mount uses. control_fd: /dev/btrfs-control */
int sc_btrfs_forget(int control_fd);
/* Device-mapper: devices by name. control_fd is an open /dev/mapper/control. */
int sc_dm_create(int control_fd, const char *name, int writable); /* returns the minor number */
/* targets: count times a struct dm_target_spec and its parameters. */
int sc_dm_load(int control_fd, const char *name, int writable, const char *targets, int size,
               int count);
int sc_dm_resume(int control_fd, const char *name, int writable); /* activates the table */
int sc_dm_remove(int control_fd, const char *name); /* now, or when the last user is gone */
/* Adds a key of type "user" to this process's keyring. */
int sc_add_key(const char *description, const char *payload, int size);
int sc_reboot(unsigned int command);
int sc_sync(void);
int sc_strerror(int error, char *buffer, int size); /* returns the length written */

#endif
