# SPDX-License-Identifier: MIT
"""The command line of storage-init, when it is not PID 1."""

import sys

from storage_init import __version__
from storage_init.boot import pid1, planning, service, show
from storage_init.boot.attach import API_MOUNTS
from storage_init.boot.step import NEW_ROOT
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

Finds the boot filesystem, attaches the initoverlayfs image on it and switches root
into it. That is done as the first process of an initramfs; anywhere else:

  --plan          print what a boot would do, and do nothing
  --identify      print what filesystem lies on each device or in each file
  --systemd       in an initramfs with systemd: mount it all on /initoverlayfs, and
                  leave switching root to systemd; exit status 1 if that fails
  --conf FILE     read FILE instead of /etc/initoverlayfs.conf
  --cmdline FILE  read FILE instead of /proc/cmdline

Settings, in initoverlayfs.conf as `key value`, on the kernel command line as
rd.initoverlayfs.key=value (see initoverlayfs.conf(5)):
"""


def run(kernel: Kernel, arguments: "List[str]") -> None:
    """Do what the arguments say.

    Ends with SystemExit: 0, 1 for a plan or a boot that leads nowhere, 2 for bad usage.
    """
    files = {"--conf": CONFIGURATION, "--cmdline": "/proc/cmdline"}
    wanted = ""
    at = 0
    while at < len(arguments):
        word = arguments[at]
        if word == "--identify" and at == 0 and len(arguments) > 1:
            print_filesystems(kernel, arguments[1:])
            return
        if word in files and at + 1 < len(arguments):
            at += 1
            files[word] = arguments[at]
        elif word in ("--plan", "--systemd", "--help", "--version") and not wanted:
            wanted = word
        else:
            fail(2, "unexpected argument {}: see storage-init --help".format(repr(word)))
        at += 1
    if wanted == "--plan":
        print_plan(kernel, files)
    elif wanted == "--systemd":
        sys.exit(service.run(kernel, files["--conf"], files["--cmdline"]))
    elif wanted == "--version":
        print("storage-init {} ({})".format(__version__, compat.IMPLEMENTATION))
    elif wanted == "--help":
        print(USAGE + "\n".join(help_lines()))
    else:
        fail(2, "nothing to do outside an initramfs: see storage-init --help")


def print_plan(kernel: Kernel, files: "Dict[str, str]") -> None:
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
        print("once systemd and udev run:")
        print("\n".join(planning.describe(attempts)))
        print("then: systemd switches root to {}, or starts emergency.target".format(NEW_ROOT))
        return
    print("first, unless the kernel has done it:")
    for source, target, fstype, flags, data in API_MOUNTS:
        print("  " + mount_text(source, target, fstype, flags, data))
    print("\n".join(planning.describe(attempts)))
    print("then: {} after {} s".format(settings.emergency, pid1.EMERGENCY_DELAY))
    if planning.leads_nowhere(attempts):
        sys.exit(1)


def print_filesystems(kernel: Kernel, paths: "List[str]") -> None:
    """A line for each path: `PATH: TYPE="ext4" UUID="..." LABEL="..."`, empty ones left out.

    Exit status 1 if one could not be read; the others are printed all the same.
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
    print("storage-init: " + text, file=sys.stderr)
    sys.exit(code)
