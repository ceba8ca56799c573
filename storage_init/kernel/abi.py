# SPDX-License-Identifier: MIT
"""Constants of Linux system calls, under their names in include/uapi/linux."""

# include/uapi/asm-generic/errno-base.h and errno.h. MicroPython's errno lacks most of them.
ENOENT = 2
EINTR = 4
EIO = 5
EAGAIN = 11
ENOTBLK = 15
EBUSY = 16
EEXIST = 17
EXDEV = 18
ENODEV = 19
EINVAL = 22
EROFS = 30
ELOOP = 40
EBADMSG = 74
EOPNOTSUPP = 95
ENOBUFS = 105
ETIMEDOUT = 110
ENOKEY = 126
EKEYREJECTED = 129

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_NOATIME = 1024
MS_MOVE = 8192
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24
MNT_DETACH = 2

O_RDONLY = 0
O_WRONLY = 1
O_RDWR = 2
O_CREAT = 0o100
O_NOCTTY = 0o400
O_TRUNC = 0o1000
O_NONBLOCK = 0o4000
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_REMOVEDIR = 0x200
AT_EMPTY_PATH = 0x1000

S_IFMT = 0o170000
S_IFDIR = 0o040000
S_IFBLK = 0o060000
S_IFREG = 0o100000
S_IFLNK = 0o120000
DT_DIR = 4

# include/uapi/linux/magic.h
RAMFS_MAGIC = 0x858458F6
TMPFS_MAGIC = 0x01021994

WNOHANG = 1

LO_FLAGS_READ_ONLY = 1
LO_FLAGS_AUTOCLEAR = 4
LO_FLAGS_DIRECT_IO = 16

FS_XFLAG_REALTIME = 0x1  # include/uapi/linux/fs.h
FIEMAP_EXTENT_LAST = 0x1  # include/uapi/linux/fiemap.h

MODULE_INIT_COMPRESSED_FILE = 4  # since Linux 5.17

# LINUX_REBOOT_CMD_RESTART, _POWER_OFF and _HALT of include/uapi/linux/reboot.h
REBOOT = {"reboot": 0x01234567, "poweroff": 0x4321FEDC, "halt": 0xCDEF0123}

# Netlink groups: uevents from the kernel, and udev's events after its rules have run.
UEVENT_KERNEL = 1
UEVENT_UDEV = 2
