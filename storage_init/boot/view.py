# SPDX-License-Identifier: MIT
"""Mount a filesystem without a write to its device.

A read-only mount still replays a journal, deletes orphans and records errors on a device that is
writable. A read-only loop device over the device prevents all of these. If there is a journal to
replay, the kernel replays it into memory: into a snapshot of the device (dm-snapshot).
"""

from storage_init.boot import mounts
from storage_init.kernel.abi import EIO, EROFS
from storage_init.kernel.failure import BootFailure
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage_init.boot.machine import Machine

_NAME = "initoverlayfs-replay"
# Documentation/admin-guide/device-mapper/snapshot.rst: not persistent, chunks of 8 sectors.
_PARAMETERS = "{} {} N 8"
# Part of the memory that the snapshot may occupy. A journal has at most 1 GiB, mostly far less.
_PART = 4

# Mount options that leave the journal alone.
_NO_REPLAY = {
    "ext3": "noload",
    "ext4": "noload",
    "xfs": "norecovery",
    "btrfs": "rescue=nologreplay",
}

# A mount from a read-only device fails with one of these if there is a journal to replay; EIO is
# that of btrfs.
_DIRTY = (EROFS, EIO)

# How the filesystem was mounted.
CLEAN = "clean"
REPLAYED = "replayed"
STALE = "stale"


def mount(
    machine: "Machine", device: str, fstype: str, options: str, target: str, verified: bool
) -> str:
    """Mount the filesystem on a device read-only, and return how.

    CLEAN: there was no journal to replay. REPLAYED: the journal is replayed in memory. STALE: the
    journal is ignored, so that the content may be older than what the machine last saw; only if
    `verified` says that dm-verity checks what is read, and a replay in memory fails. Raises
    OSError or BootFailure.
    """
    kernel = machine.kernel
    machine.workers.settle("loop")
    loop, fd = kernel.loop_attach(device)
    try:
        try:
            mounts.boot_filesystem(kernel, machine.log, loop, fstype, options, target)
            return CLEAN
        except OSError as error:
            if error.errno not in _DIRTY or fstype not in _NO_REPLAY:
                raise
        try:
            _replay(machine, device, loop, fstype, options, target)
            return REPLAYED
        except (OSError, BootFailure) as error:
            if not verified:
                text = "{} has a journal to replay, which stage 1 replays in memory only: {}"
                raise BootFailure(text.format(device, reason(error)))
            machine.log.warning("{}: ignoring the journal: {}".format(device, reason(error)))
        words = ",".join([word for word in (options, _NO_REPLAY[fstype]) if word])
        mounts.boot_filesystem(kernel, machine.log, loop, fstype, words, target)
        return STALE
    finally:
        kernel.close(fd)


def umount(machine: "Machine", fstype: str, target: str) -> None:
    """Unmount what mount() has mounted, which releases the device. Raises OSError."""
    machine.kernel.umount(target)
    if fstype == "btrfs":
        machine.kernel.btrfs_forget()


def _replay(
    machine: "Machine", device: str, loop: str, fstype: str, options: str, target: str
) -> None:
    # Importing these costs time, and few boots replay a journal.
    from storage_init.boot import memory
    from storage_init.devices import sysfs
    from storage_init.kernel.devmapper import SECTOR, Target

    kernel = machine.kernel
    machine.workers.settle("dm_snapshot")
    size = sysfs.size(kernel, device[len("/dev/") :].replace("/", "!"))
    changes, fd = kernel.loop_memory(_NAME, memory.total(kernel) // _PART // SECTOR * SECTOR)
    try:
        parameters = _PARAMETERS.format(loop, changes)
        changed = Target("snapshot", size, parameters)
        snapshot = kernel.dm_create(_NAME, [changed], writable=True)
        try:
            mounts.boot_filesystem(kernel, machine.log, snapshot, fstype, options, target)
        finally:
            _remove(machine)
    finally:
        kernel.close(fd)
    machine.log.info("{}: journal replayed in memory, the disk is unchanged".format(device))


def _remove(machine: "Machine") -> None:
    """Have the snapshot removed with its last user."""
    try:
        machine.kernel.dm_remove(_NAME)
    except OSError as error:  # it stays until the machine stops, and nothing depends on it
        machine.log.warning(reason(error))
