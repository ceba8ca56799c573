# SPDX-License-Identifier: MIT
"""Systemd mode: storage-init as a service of a mini-initramfs in which systemd is PID 1."""

from storage_init.boot import executor, pid1
from storage_init.boot.machine import Machine
from storage_init.config.boot_settings import SYSTEMD
from storage_init.config.settings import Settings
from storage_init.devices import modprobe, udev
from storage_init.kernel.calls import Kernel
from storage_init.kernel.failure import BootFailure
from storage_init.kernel.log import Log, reason

# The file by which systemd recognizes an initramfs.
_INITRD = "/etc/initrd-release"


def run(kernel: Kernel, configuration: str, command_line: str) -> int:
    """Mount the new root on /initoverlayfs and return the exit status, 0 or 1.

    configuration, command_line: paths. Does not touch PID 1's mounts, switch root, or end the
    machine: pre-initoverlayfs-switch-root.service switches root, and OnFailure= of
    pre-initoverlayfs.service handles a failure. The mounts are visible to PID 1 because that unit
    has no mount namespace of its own.
    """
    log = Log(lambda level, line: kernel.write(2, "<{}>{}\n".format(level, line).encode(), "log"))
    try:
        if not kernel.exists(_INITRD):
            raise BootFailure("--systemd: this is no initramfs, there is no " + _INITRD)
        settings = Settings()
        _, _, attempts = pid1.prepare(kernel, log, settings, SYSTEMD, configuration, command_line)
        loader = modprobe.none(kernel, log)
        machine = Machine(kernel, log, SYSTEMD, loader, udev.events(kernel, log), [])
        return 0 if executor.take(machine, attempts) else 1
    except BaseException as error:  # every failure is one line in the journal
        log.error(reason(error))
        return 1
