# SPDX-License-Identifier: MIT
"""Leaving the initramfs: moving mounts, switching root, deleting the old root."""

from storage_init.formats import elf
from storage_init.kernel.abi import (
    AT_REMOVEDIR,
    DT_DIR,
    EINVAL,
    ELOOP,
    MS_MOVE,
    RAMFS_MAGIC,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    TMPFS_MAGIC,
)
from storage_init.kernel.failure import BootFailure
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.log import Log


_MOVED = ("/dev", "/proc", "/sys", "/run")
# No initramfs has deeper directories. MicroPython's stack has about 200 levels.
_DEPTH_LIMIT = 64


def choose_init(kernel: "Kernel", root: str, candidates: "Tuple[str, ...]") -> str:
    """Return the first of these paths in `root` that is a program for this machine.

    That is an executable file which is a script, or an ELF file of an architecture that runs here.
    A symbolic link as last component is followed as after the switch: an absolute one starts at the
    new root. Does not check the program's interpreter or libraries. Raises BootFailure that names
    all candidates.
    """
    faults = ""
    for path in candidates:
        try:
            file = root + _target(kernel, root, path)
            found = kernel.stat(file, follow=False)
            fault = "is not executable"
            if found.mode & S_IFMT == S_IFREG and found.mode & 0o111:
                fault = _fault(elf.head_of(kernel, file), elf.own(kernel))
        except OSError:
            continue
        if not fault:
            return path
        faults += "; {} {}".format(path, fault)
    raise BootFailure("no init to run: none of " + " ".join(candidates) + faults)


def _fault(head: bytes, own: str) -> str:
    """Return why a file that starts with these bytes cannot be run, "" if nothing is wrong."""
    if not head:
        return "is empty"
    if head[:2] != b"#!" and not elf.is_elf(head):
        return "is no program"
    architecture = elf.architecture(head)
    return "" if elf.runs_on(architecture, own) else "is for " + architecture


def inside(kernel: "Kernel", root: str, path: str) -> str:
    """Return the present path of a file in the new root, with its last symbolic links followed."""
    return root + _target(kernel, root, path)


def _target(kernel: "Kernel", root: str, path: str) -> str:
    for _ in range(8):
        if kernel.stat(root + path, follow=False).mode & S_IFMT != S_IFLNK:
            return path
        link = kernel.readlink(root + path)
        path = link if link.startswith("/") else path[: path.rfind("/") + 1] + link
    raise OSError(ELOOP, "too many symbolic links at " + path)


def switch_root(kernel: "Kernel", log: "Log", new_root: str) -> str:
    """Make `new_root` this process's root and delete the initramfs. Return the method.

    For PID 1 on an initramfs only: raises BootFailure, before it changes anything, if this is not
    PID 1, the root is no ramfs or tmpfs, or the new root is no filesystem of its own. If a later
    system call fails, moves the mounts back and raises OSError. Logs how many files of the old root
    could not be deleted.
    """
    old = kernel.open_directory("/")
    try:
        old_device = kernel.stat("", at=old).device
        _check(kernel, new_root, old_device)
        pivoted = _enter(kernel, log, new_root)
        # Nothing can be undone from here on, so errors are logged only.
        try:
            kernel.chdir("/")
            if not pivoted:  # pivot_root has detached the initramfs as a whole
                left = _delete(kernel, old, old_device, 0)
                if left:
                    log.warning("old initramfs: {} entries could not be deleted".format(left))
        except Exception as error:
            log.warning("old initramfs: " + reason(error))
    finally:
        kernel.close(old)
    return "pivot_root" if pivoted else "MS_MOVE"


def _enter(kernel: "Kernel", log: "Log", new_root: str) -> bool:
    """Move the mounts and change the root. Return whether pivot_root did it.

    Raises OSError after moving everything back.
    """
    moved: List[Tuple[str, str]] = []
    try:
        for path in _MOVED:
            kernel.mkdir(new_root + path)
            kernel.mount(path, new_root + path, "", MS_MOVE)
            moved.append((path, new_root + path))
        kernel.chdir(new_root)
        if _pivot(kernel, log):
            return True
        kernel.mount(".", "/", "", MS_MOVE)
        moved.append((new_root, "."))  # until the chroot, paths do not lead into it
        kernel.chroot(".")
        return False
    except Exception:
        _move_back(kernel, log, moved)
        raise


def _move_back(kernel: "Kernel", log: "Log", moved: "List[Tuple[str, str]]") -> None:
    for path, now in reversed(moved):
        try:
            kernel.mount(now, path, "", MS_MOVE)
        except OSError as error:
            log.warning(reason(error))
    try:
        kernel.chdir("/")
    except OSError as error:
        log.warning(reason(error))


def _pivot(kernel: "Kernel", log: "Log") -> bool:
    """Return whether pivot_root worked: Linux 7.0 mounts the initramfs on another root."""
    try:
        kernel.pivot_root(".", ".")
    except OSError as error:
        if error.errno != EINVAL:
            raise
        return False
    try:
        kernel.detach(".")  # the old root, which now lies on the new one
    except OSError as error:
        log.warning("old initramfs: " + reason(error))
    return True


def _check(kernel: "Kernel", new_root: str, old_device: int) -> None:
    if kernel.getpid() != 1:
        raise BootFailure("switch root: only as PID 1")
    if kernel.fs_magic("/") not in (RAMFS_MAGIC, TMPFS_MAGIC):
        raise BootFailure("switch root: / is no initramfs, and would be deleted")
    found = kernel.stat(new_root)
    if found.mode & S_IFMT != S_IFDIR or found.device == old_device:
        raise BootFailure("switch root: nothing is mounted on " + new_root)


def _delete(kernel: "Kernel", directory: int, device: int, depth: int) -> int:
    """Delete the content of an open directory on its own filesystem, following no link.

    Returns how many entries are left.
    """
    left = 0
    for kind, name in kernel.entries(directory):
        try:
            if kind != DT_DIR:
                kernel.unlink(name, directory)
            elif depth < _DEPTH_LIMIT:
                left += _delete_directory(kernel, directory, name, device, depth + 1)
            else:
                left += 1
        except OSError:
            left += 1
    return left


def _delete_directory(kernel: "Kernel", above: int, name: str, device: int, depth: int) -> int:
    directory = kernel.open_directory(name, above)
    try:
        if kernel.stat("", at=directory).device != device:
            return 1  # a mount point: another filesystem's content
        left = _delete(kernel, directory, device, depth)
    finally:
        kernel.close(directory)
    if not left:
        kernel.unlink(name, above, AT_REMOVEDIR)
    return left
