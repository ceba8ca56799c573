/* SPDX-License-Identifier: MIT */
/*
 * The system calls storage-init makes, as a flat ABI: ints, NUL-terminated
 * strings and buffers the caller owns. Every function returns >= 0, or -errno;
 * none prints, allocates for the caller or keeps state. A NULL string is passed
 * on to the system call as NULL.
 *
 * This file is read by the C compiler and, below the marker, by cffi's cdef
 * (storage_init/_syscalls_build.py): plain prototypes only, no preprocessor lines.
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
long long sc_fs_magic(const char *path); /* statfs f_type, as unsigned 32 bits */

/* Files. Paths are relative to dirfd (AT_FDCWD: -100). */
int sc_open(int dirfd, const char *path, int flags, int mode); /* adds O_CLOEXEC */
int sc_open_directory(int dirfd, const char *path); /* O_RDONLY | O_DIRECTORY | O_NOFOLLOW */
/* openat2 for reading: nothing above dirfd, by no symbolic link either (-EXDEV); does not wait for a FIFO. */
int sc_open_beneath(int dirfd, const char *path);
int sc_close(int fd);
int sc_read(int fd, char *buffer, int size);
int sc_pread(int fd, char *buffer, int size, long long offset);
int sc_write(int fd, const char *buffer, int size);
int sc_mkdir(int dirfd, const char *path, int mode);
int sc_unlink(int dirfd, const char *path, int flags);
int sc_readlink(const char *path, char *buffer, int size);
/* fstatat; fills five native int64: mode, dev, ino, rdev, size. */
int sc_stat(int dirfd, const char *path, int flags, char *buffer);
/* Fills "d_type byte, name, NUL" entries without "." and ".."; 0 at the end of the directory. */
int sc_getdents(int fd, char *buffer, int size);

/* Processes. argv and envp are NUL-terminated strings laid end to end. */
int sc_fork(void);
int sc_exit(int code); /* _exit: does not return */
int sc_execve(const char *path, const char *argv, int argv_size, const char *envp, int envp_size);
int sc_waitpid(int pid, int options, char *status); /* fills one native int32 */
int sc_getpid(void);
int sc_signals_default(void); /* every signal to its default, none blocked: what an exec'd init expects */
int sc_signalfd_child(void);  /* blocks SIGCHLD and returns a non-blocking signalfd for it */
int sc_take_terminal(int fd); /* fds 0-2 become it; so does, if it can, the terminal of a session of our own */
int sc_standard_fds(void);    /* opens something harmless on each of fds 0-2 that is closed */

/* Waiting. fds is count native int32, at most 16; the result is a bit mask of
 * those with input, hang-up or error; 0 after timeout_ms (-1 is refused: -EINVAL). */
int sc_poll(const char *fds, int count, int timeout_ms);
long long sc_clock_ns(void); /* CLOCK_MONOTONIC */

/* Uevents (NETLINK_KOBJECT_UEVENT); group 1 is the kernel's, 2 is udev's. */
int sc_uevent_open(int group, int receive_buffer);
/* One message, non-blocking. 0: a message that was dropped, because it did not come from
 * the kernel (group 1) or from a process of uid 0 (group 2), or did not fit. */
int sc_uevent_receive(int fd, char *buffer, int size);

/* Devices, modules, machine. */
int sc_finit_module(int fd, const char *parameters, int flags);
int sc_loop_get_free(int control_fd);
int sc_loop_configure(int loop_fd, int backing_fd, unsigned int flags, const char *file_name,
                      long long offset, long long size);
/* Device-mapper, by a read-only device's name and an open /dev/mapper/control. */
int sc_dm_create(int control_fd, const char *name); /* returns its minor number */
int sc_dm_load(int control_fd, const char *name, const char *targets, int size, int count); /* struct dm_target_spec, its parameters, the next */
int sc_dm_resume(int control_fd, const char *name); /* the table that was loaded takes effect */
int sc_dm_remove(int control_fd, const char *name); /* now, or when its last user is gone */
/* A key of type "user" in this process's keyring. */
int sc_add_key(const char *description, const char *payload, int size);
int sc_reboot(unsigned int command);
int sc_sync(void);
int sc_strerror(int error, char *buffer, int size); /* returns the length written */

#endif
