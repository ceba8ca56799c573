# SPDX-License-Identifier: MIT
"""Systemd mode: storage-init as a service of a mini-initramfs in which systemd is PID 1."""

from storage_init.boot import pid1
from storage_init.boot.attempts import Boot
from storage_init.config.boot_settings import SYSTEMD
from storage_init.config.settings import Settings
from storage_init.devices import modprobe, udev
from storage_init.kernel.abi import EPERM
from storage_init.kernel.calls import Kernel
from storage_init.kernel.log import Log, reason

# systemd's own sign of an initramfs.
_INITRD = "/etc/initrd-release"


def run(kernel: Kernel, configuration: str, command_line: str) -> int:
    """Mount the new root on /initoverlayfs, and nothing else: the exit status, 0 or 1.

    configuration and command_line are paths. It neither mounts what PID 1 has mounted, nor moves
    that, nor switches root, nor ends the machine: pre-initoverlayfs-switch-root.service does one
    of these, OnFailure= of pre-initoverlayfs.service the other. Mounts appear to PID 1 because
    that unit gives its processes no mount namespace of their own.
    """
    log = Log(lambda level, line: kernel.write(2, "<{}>{}\n".format(level, line).encode(), "log"))
    try:
        if not kernel.exists(_INITRD):
            raise OSError(EPERM, "--systemd: this is no initramfs, there is no " + _INITRD)
        settings = Settings()
        _, _, attempts = pid1.prepare(kernel, log, settings, SYSTEMD, configuration, command_line)
        loader = modprobe.none(kernel, log)
        state = Boot(kernel, log, SYSTEMD, loader, udev.events(kernel, log), [])
        return 0 if state.take(attempts) else 1
    except BaseException as error:  # one line in the journal, whatever it is
        log.error(reason(error))
        return 1
