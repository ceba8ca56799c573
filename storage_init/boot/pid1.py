# SPDX-License-Identifier: MIT
"""Init mode: storage-init as the kernel's first process. Nothing here returns or exits."""

from storage_init import __version__
from storage_init.boot import executor, mounts, planning
from storage_init.boot.machine import Machine
from storage_init.boot.prompt import Retry
from storage_init.config import cmdline
from storage_init.config.boot_settings import INIT
from storage_init.config.settings import CONFIGURATION, Settings
from storage_init.devices import modprobe, uevent
from storage_init.formats import binding
from storage_init.kernel import compat
from storage_init.kernel.abi import ENOENT, O_WRONLY
from storage_init.kernel.calls import Kernel
from storage_init.kernel.children import Children
from storage_init.kernel.log import Log, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    from storage_init.boot.step import Attempt
    from storage_init.config.cmdline import Word


# Seconds that sync(2) may take before the end.
SYNC_LIMIT = 10

# Seconds for a person to read the last lines on the console.
EMERGENCY_DELAY = 10


def run(kernel: Kernel, arguments: "List[str]") -> None:
    """Boot the machine and never return: if nothing boots, log why and reboot.

    arguments: those that the kernel passed to init. For PID 1 only.
    """
    log = Log()
    settings = Settings()
    start(kernel, log, settings, arguments)
    delay = EMERGENCY_DELAY
    while True:
        try:
            emergency(kernel, log, settings.emergency, delay)
        except BaseException as error:
            log.error(reason(error))
            delay = 60


def start(kernel: Kernel, log: Log, settings: Settings, arguments: "List[str]") -> None:
    """Boot up to the exec of stage 2's init. Returns only if that fails, and raises nothing."""
    try:
        kernel.standard_fds()
        mounts.api_filesystems(kernel)
        open_kernel_log(kernel, log)
        boot(kernel, log, settings, arguments)
    except BaseException as error:  # PID 1 must outlive MemoryError and KeyboardInterrupt as well
        log.error(reason(error))


def boot(kernel: Kernel, log: Log, settings: Settings, arguments: "List[str]") -> None:
    """Read the settings into `settings`, and make one attempt after the other."""
    words, release, attempts = prepare(kernel, log, settings, INIT)
    loader = modprobe.from_tables(kernel, log, release, words)
    while True:
        machine = Machine(kernel, log, INIT, loader, uevent.Events(kernel), arguments)
        try:
            executor.take(machine, attempts)
            return
        except Retry as retry:
            machine.close()
            for name in retry.changes:
                settings.change(name, retry.changes[name])
            log.info("starting over")
            attempts = planning.make(settings, release, INIT, words, belongs_to(kernel))
            log.info(planning.summary(attempts, settings.emergency))


def prepare(
    kernel: Kernel,
    log: Log,
    settings: Settings,
    mode: str,
    configuration: str = CONFIGURATION,
    command_line: str = "/proc/cmdline",
) -> "Tuple[List[Word], str, List[Attempt]]":
    """Read the settings and plan the boot. Log the version, warnings and the attempts.

    Returns the words of the kernel command line, the kernel's release, the attempts.
    """
    words = read_settings(kernel, settings, configuration, command_line)
    log.set_verbose(settings.debug)
    release = _release(kernel, log)
    log.info(
        "storage-init {} on Linux {}, {}, deadline {} s".format(
            __version__, release, compat.IMPLEMENTATION, settings.timeout
        )
    )
    for warning in settings.warnings:
        log.warning(warning)
    attempts = planning.make(settings, release, mode, words, belongs_to(kernel))
    log.info(planning.summary(attempts, settings.emergency if mode == INIT else "emergency.target"))
    return words, release, attempts


def _release(kernel: Kernel, log: Log) -> str:
    """Return the kernel's release. If it cannot be read, log a warning and return `unknown`."""
    try:
        return kernel.read_text("/proc/sys/kernel/osrelease").strip()
    except (OSError, MemoryError) as error:
        log.warning(reason(error) + "; no module and no image has the name of this kernel")
        return "unknown"


def belongs_to(kernel: Kernel) -> "Optional[str]":
    """Return the text of the binding, None if this mini-initramfs has none."""
    try:
        return kernel.read_text(binding.PATH)
    except OSError as error:
        # Any other error must not pass for a mini-initramfs that accepts every image. The text of
        # the error is no valid binding, so that the planner refuses to use an image.
        return None if error.errno == ENOENT else reason(error)
    except MemoryError as error:
        return reason(error)


def read_settings(
    kernel: Kernel,
    settings: Settings,
    configuration: str = CONFIGURATION,
    command_line: str = "/proc/cmdline",
) -> "List[Word]":
    """Fill `settings` from both files. Return the words of the kernel command line.

    A missing configuration file is no error, since the command line may have every setting.
    """
    try:
        settings.read_configuration(kernel.read_text(configuration), configuration)
    except OSError as error:
        if error.errno != ENOENT:
            settings.warnings.append(reason(error))
    except MemoryError as error:
        settings.warnings.append("read {}: {}; ignoring it".format(configuration, reason(error)))
    words: List[Word] = []
    try:
        words, _ = cmdline.split(kernel.read_text(command_line))
        settings.read_cmdline(words)
    except (OSError, MemoryError) as error:
        text = "read {}: {}; continuing with the settings read so far"
        settings.warnings.append(text.format(command_line, reason(error)))
    return words


def open_kernel_log(kernel: Kernel, log: Log) -> None:
    """Log to /dev/kmsg, or to the console if that cannot be opened."""
    try:
        fd = kernel.open("/dev/kmsg", O_WRONLY)
    except OSError:
        fd = 2
    try:
        # By default the kernel drops all but ten lines in five seconds. systemd sets the same.
        kernel.write_file("/proc/sys/kernel/printk_devkmsg", b"on\n")
    except OSError:
        pass
    log.open(lambda level, line: kernel.write(fd, "<{}>{}\n".format(level, line).encode(), "log"))


def emergency(kernel: Kernel, log: Log, how: str, delay: int) -> None:
    """Log that no attempt worked, wait `delay` seconds, then reboot, power off or halt.

    how: reboot, poweroff or halt. Raises OSError if the kernel refuses.
    """
    log.error("no way to boot left: {} in {} s".format(how, delay))
    end = kernel.clock_ms() + delay * 1000
    while kernel.clock_ms() < end:
        kernel.poll([], max(end - kernel.clock_ms(), 1))
    sync(kernel, log)
    kernel.reboot(how)


def sync(kernel: Kernel, log: Log) -> None:
    """Have a child write what a direct boot may have left unwritten. Waits SYNC_LIMIT at most."""
    try:
        children = Children(kernel, log)
        children.wait(children.start(kernel.sync), kernel.clock_ms() + SYNC_LIMIT * 1000)
    except OSError as error:
        log.warning("sync: {}; continuing".format(reason(error)))
