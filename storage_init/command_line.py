# SPDX-License-Identifier: MIT
"""Run storage-init's commands: its command line if it is not PID 1."""

import sys

from storage_init import __version__
from storage_init.boot import pid1, planning, service, show
from storage_init.boot.mounts import API_MOUNTS
from storage_init.boot.step import NEW_ROOT, describe
from storage_init.config.boot_settings import SYSTEMD
from storage_init.config.settings import CONFIGURATION, Settings
from storage_init.config.settings_help import help_lines
from storage_init.devices.finder import identify
from storage_init.kernel import compat
from storage_init.kernel.abi import EINVAL, S_IFBLK, S_IFMT, S_IFREG
from storage_init.kernel.calls import Kernel, mount_text
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List

USAGE = """Usage: storage-init --plan | --systemd [--conf FILE] [--cmdline FILE]
       storage-init --identify PATH...
       storage-init --help | --version

As PID 1 of an initramfs, storage-init finds the boot filesystem, attaches the
initoverlayfs image and switches to it. As another process, it runs a command:

  --plan          print the steps of a boot without running them
  --identify      print the filesystem on each device or in each file
  --systemd       in an initramfs with systemd: mount the new root on /initoverlayfs,
                  to which systemd switches; exit status 1 if that fails
  --conf FILE     read FILE instead of /etc/initoverlayfs.conf
  --cmdline FILE  read FILE instead of /proc/cmdline

Settings, in initoverlayfs.conf as `key value` and on the kernel command line as
rd.initoverlayfs.key=value, see initoverlayfs.conf(5):
"""


def run(kernel: Kernel, arguments: "List[str]") -> None:
    """Run the command that the arguments name.

    Raises SystemExit with 1 if a command fails or a plan has no attempt that can boot, and with 2
    for wrong usage.
    """
    files = {"--conf": CONFIGURATION, "--cmdline": "/proc/cmdline"}
    command = ""
    at = 0
    while at < len(arguments):
        word = arguments[at]
        if word == "--identify" and at == 0 and len(arguments) > 1:
            print_filesystems(kernel, arguments[1:])
            return
        if word in files and at + 1 < len(arguments):
            at += 1
            files[word] = arguments[at]
        elif word in ("--plan", "--systemd", "--help", "--version") and not command:
            command = word
        else:
            fail(2, "unexpected argument {}; see storage-init --help".format(repr(word)))
        at += 1
    if command == "--plan":
        print_plan(kernel, files)
    elif command == "--systemd":
        sys.exit(service.run(kernel, files["--conf"], files["--cmdline"]))
    elif command == "--version":
        print("storage-init {} ({})".format(__version__, compat.IMPLEMENTATION))
    elif command == "--help":
        print(USAGE + "\n".join(help_lines()))
    else:
        fail(2, "no command given, and not PID 1; see storage-init --help")


def print_plan(kernel: Kernel, files: "Dict[str, str]") -> None:
    """Print the plan of a boot. Raises SystemExit(1) if no attempt can boot."""
    settings = Settings()
    try:
        words = pid1.read_settings(kernel, settings, files["--conf"], files["--cmdline"])
        release = kernel.read_text("/proc/sys/kernel/osrelease").strip()
        for warning in settings.warnings:
            print("warning: " + warning)
        bound = pid1.belongs_to(kernel)
        attempts = planning.make(settings, release, settings.initoverlayfs_init, words, bound)
    except OSError as error:
        fail(1, reason(error))
    if settings.initoverlayfs_init == SYSTEMD:
        print("after systemd and udev have started:")
        print("\n".join(describe(attempts)))
        print("then: systemd switches root to {}, or starts emergency.target".format(NEW_ROOT))
        return
    print("first, unless the kernel has mounted them:")
    for source, target, fstype, flags, data in API_MOUNTS:
        print("  " + mount_text(source, target, fstype, flags, data))
    print("\n".join(describe(attempts)))
    print("then: {} after {} s".format(settings.emergency, pid1.EMERGENCY_DELAY))
    if planning.leads_nowhere(attempts):
        sys.exit(1)


def print_filesystems(kernel: Kernel, paths: "List[str]") -> None:
    """Print `PATH: TYPE="ext4" UUID="..." LABEL="..."` for each path, without empty tags.

    Raises SystemExit(1) after the last path if one of them could not be read.
    """
    failed = False
    for path in paths:
        try:
            if kernel.stat(path).mode & S_IFMT not in (S_IFREG, S_IFBLK):
                raise OSError(EINVAL, "identify {}: not a file or a block device".format(path))
            found = identify(kernel, path)
        except OSError as error:
            print("storage-init: " + show.plain(reason(error)), file=sys.stderr)
            failed = True
            continue
        print(show.plain(path) + ": " + show.filesystem(found))
    if failed:
        sys.exit(1)


def fail(code: int, text: str) -> None:
    """Print an error message and end the program."""
    print("storage-init: " + text, file=sys.stderr)
    sys.exit(code)
