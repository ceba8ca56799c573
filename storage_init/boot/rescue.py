# SPDX-License-Identifier: MIT
"""The functions of the rescue prompt, for `import *` in MicroPython.

They run in a process of their own, so that no input can end PID 1, but in PID 1's mount namespace.
A function that fails prints one line, and the prompt stays open.
"""

import json
import sys

from storage_init.boot import mounts, show, switchroot
from storage_init.boot.prompt import CHANGES, GO, RETRY, STATE
from storage_init.boot.step import INITS, NEW_ROOT
from storage_init.config.cmdline import split
from storage_init.config.settings import Settings
from storage_init.devices import modprobe, sysfs
from storage_init.devices.finder import identify
from storage_init.kernel import compat
from storage_init.kernel.abi import MS_RDONLY, S_IFMT, S_IFREG
from storage_init.kernel.calls import Kernel
from storage_init.kernel.failure import BootFailure
from storage_init.kernel.log import Log, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

__all__ = (
    "welcome",
    "help",
    "devices",
    "mount",
    "unmount",
    "load",
    "ls",
    "cat",
    "plan",
    "retry",
    "go",
    "reboot",
)

HELP = """\
This is MicroPython with these functions:

  devices()                list the block devices and the filesystems on them
  mount(what, where)       mount a device, or an image in a file, read-only on a directory; type
                           and options follow: mount("/dev/vda1", "/mnt", "ext4", "rw,noatime")
  unmount(where)           detach what is mounted on a directory
  load(module)             load a kernel module and its dependencies
  ls(path), cat(path)      show a directory, a file
  plan()                   show the plan of this boot; an arrow marks the current step
  retry(key="value", ...)  start over with changed settings: retry(bootfs="LABEL=boot")
  go()                     continue with the plan; if no attempt is left, boot what is mounted on
                           /initoverlayfs
  reboot(), reboot("poweroff")
  help()                   show this text

Ctrl-D leaves the prompt: at a break point the boot continues, otherwise it ends as planned."""

kernel = Kernel(compat.syscalls)
_log = Log(lambda level, line: print(line))


def _guarded(function: "Callable[..., None]") -> "Callable[..., None]":
    def call(*arguments: "Any", **named: "Any") -> None:
        try:
            function(*arguments, **named)
        except ValueError as error:
            print(error.args[0])
        except (OSError, BootFailure) as error:
            print(reason(error))

    return call


def welcome() -> None:
    try:
        print("\ninitoverlayfs: rescue prompt: " + _state()["why"] + "\n")
    except (OSError, ValueError):
        print("\ninitoverlayfs: rescue prompt\n")
    print(HELP + "\n")


def help() -> None:
    print(HELP)


def _state() -> "Any":
    return json.loads(kernel.read_text(STATE))


@_guarded
def devices() -> None:
    for name in kernel.listdir("/sys/class/block"):
        size = sysfs.size(kernel, name)
        if size == 0:
            continue
        path = sysfs.device_path(name)
        try:
            text = show.filesystem(identify(kernel, path, size))
        except OSError as error:
            text = reason(error)
        print("{:<16}{:>10.1f} MB  {}".format(path, size / 1e6, text))


@_guarded
def mount(what: str, where: str, fstype: str = "", options: str = "ro") -> None:
    found = None if fstype else identify(kernel, what)
    fstype = fstype or (found.type if found else "")
    if not fstype:
        raise BootFailure("mount {}: no filesystem that is known here".format(what))
    _loader().load(modprobe.of_filesystem(fstype))
    if kernel.stat(what).mode & S_IFMT == S_IFREG:
        print(mounts.image(kernel, _loader(), what, fstype, where)[1])
        return
    writable = "rw" in options.split(",")
    flags, data = mounts.options(options, 0 if writable else MS_RDONLY)
    mounts.mount(kernel, _log, what, fstype, flags, data, where)


@_guarded
def unmount(where: str) -> None:
    kernel.detach(where)


@_guarded
def load(module: str) -> None:
    loader = _loader()
    if not loader.has(module):
        raise ValueError("load {}: there is no such module in this image".format(module))
    loader.load(module)


def _loader() -> modprobe.Loader:
    words, _ = split(kernel.read_text("/proc/cmdline"))
    release = kernel.read_text("/proc/sys/kernel/osrelease").strip()
    return modprobe.from_tables(kernel, _log, release, words)


@_guarded
def ls(path: str = "/") -> None:
    print("  ".join([show.plain(name) for name in kernel.listdir(path)]))


@_guarded
def cat(path: str) -> None:
    print("\n".join([show.plain(line) for line in kernel.read_text(path).split("\n")]))


@_guarded
def plan() -> None:
    print("\n".join(_state()["plan"]))


@_guarded
def retry(**changes: "object") -> None:
    texts = {}
    for name in changes:
        texts[name] = str(changes[name])
        Settings().change(name, texts[name])
    kernel.write_file(CHANGES, json.dumps(texts).encode())
    sys.exit(RETRY)


@_guarded
def go() -> None:
    if _state()["last"]:
        switchroot.choose_init(kernel, NEW_ROOT, INITS)
    sys.exit(GO)


@_guarded
def reboot(how: str = "reboot") -> None:
    if how not in ("reboot", "poweroff", "halt"):
        raise ValueError("reboot: want reboot, poweroff or halt")
    kernel.sync()
    kernel.reboot(how)
