# SPDX-License-Identifier: MIT
"""initoverlayfs-install: parse the options, run the action they select, report its failure."""

import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from types import FrameType
from typing import Optional

from initoverlayfs.errors import Failure
from initoverlayfs.inspect import check
from initoverlayfs.install import commands, conf, options
from initoverlayfs.install.remove import remove
from initoverlayfs.install.report import say
from initoverlayfs.target import Target
from storage_init.config.settings import CONFIGURATION
from storage_init.config.values import ITSELF


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the program and return its exit status. Raises SystemExit for wrong usage, --help.

    arguments: the command line without the program's name; sys.argv's if None.
    """
    chosen = options.parse(sys.argv[1:] if arguments is None else arguments)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(chosen)
    except Failure as failure:
        say(str(failure))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except OSError as error:
        say(f"{error.filename or 'system call'}: {error.strerror}")
        return 1
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(number: int, frame: Optional[FrameType]) -> None:
    raise KeyboardInterrupt


def _run(chosen: Namespace) -> int:
    """Run the selected action and return the exit status. Raises Failure or OSError."""
    target = _open_target(chosen)
    if chosen.if_configured and not _is_configured(target, removing=chosen.remove):
        return 0
    if chosen.remove:
        print(remove(target, chosen.kver))
    elif chosen.verify:
        return _verify(target, chosen.kver)
    elif chosen.rollback:
        commands.rollback(target, chosen.kver)
    else:
        commands.install(target, chosen)
    return 0


def _open_target(chosen: Namespace) -> Target:
    """Return the system that the options name. Raises Failure without root's rights or --root."""
    if os.geteuid() != 0:
        raise Failure("only root can build images and write to /boot: run it with sudo")
    if not chosen.root.is_dir():
        raise Failure(f"--root {chosen.root}: no such directory")
    return Target(chosen.root, chosen.verbose)


def _is_configured(target: Target, removing: bool) -> bool:
    """Return whether a kernel hook has something to do: --if-configured.

    Prints the reason, and raises nothing, if the image is a partition: a hook must not make a
    kernel's package fail.
    """
    settings = conf.read(target.path(CONFIGURATION))
    if settings.bootfs and settings.fs == ITSELF and not removing:
        say(f"nothing to do: {CONFIGURATION} sets `fs -` (the image is a partition)")
        return False
    return settings.bootfs != ""


def _verify(target: Target, kver: Optional[str]) -> int:
    """Print the result of every check; return 1 if one failed, else 0. Raises Failure."""
    items = check.check(target, commands.find_installation(target, kver))
    print("\n".join(map(str, items)))
    return 1 if any(item.verdict == check.WRONG for item in items) else 0
