# SPDX-License-Identifier: MIT
"""initoverlayfs-install: the program. Its options choose what it does."""

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
from initoverlayfs.target import Target
from storage_init.config.settings import CONFIGURATION
from storage_init.config.values import ITSELF


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The program, with its own arguments or these. Returns its exit status; wrong usage exits."""
    chosen = options.parse(sys.argv[1:] if arguments is None else arguments)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        target = targeted(chosen)
        if chosen.if_configured and not _configured(target, chosen.remove):
            return 0
        if chosen.remove:
            print(remove(target, chosen.kver))
        elif chosen.verify:
            return verify(target, chosen)
        elif chosen.rollback:
            commands.rollback(target, chosen)
        else:
            commands.install(target, chosen)
    except Failure as failure:
        return _say(str(failure), 1)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except OSError as error:
        return _say(f"{error.filename or 'system call'}: {error.strerror}", 1)
    finally:
        signal.signal(signal.SIGTERM, previous)
    return 0


def _interrupt(number: int, frame: Optional[FrameType]) -> None:
    raise KeyboardInterrupt


def _say(text: str, status: int) -> int:
    print(f"initoverlayfs-install: {text}", file=sys.stderr)
    return status


def targeted(chosen: Namespace) -> Target:
    """The system that the options name. Raises Failure where there is nothing to be done in it."""
    if os.geteuid() != 0:
        raise Failure("only root can build images and write to /boot: run it with sudo")
    if not chosen.root.is_dir():
        raise Failure(f"--root {chosen.root}: no such directory")
    return Target(chosen.root, chosen.verbose)


def _configured(target: Target, remove: bool) -> bool:
    """Whether a hook has something to do: where not, a kernel's package must not fail of it."""
    settings = conf.read(target.path(CONFIGURATION))
    if settings.bootfs and settings.fs == ITSELF and not remove:
        _say(f"nothing done: {CONFIGURATION} says `fs -`, the image itself is a partition", 0)
        return False
    return settings.bootfs != ""


def verify(target: Target, chosen: Namespace) -> int:
    """Print what is right and wrong with what is installed; the exit status."""
    items = check.check(target, *commands.installed(target, chosen))
    print("\n".join(map(str, items)))
    return 1 if any(item.verdict == check.WRONG for item in items) else 0
