# SPDX-License-Identifier: MIT
"""Run commands as root, or as root of a user namespace if this process is not root."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# sh -ec SCRIPT TREE COMMAND... Runs in new mount and PID namespaces, so that its mounts and
# processes end with it.
_CHROOT = """
tree=$1; shift
mount --rbind /dev "$tree/dev"
mount --rbind /sys "$tree/sys"
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/run"
mount -t tmpfs tmpfs "$tree/tmp"
exec chroot "$tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive "$@"
"""


class CommandFailed(Exception):
    """A command failed. The message has its command line and the last lines of its output."""


def as_root(argv: Sequence[str], *unshare: str) -> list[str]:
    """Return the command line that runs argv as root.

    unshare: options of unshare(1) for further namespaces. Users other than root require util-linux
    2.38 and their ranges in /etc/subuid and /etc/subgid.
    """
    options = list(unshare)
    if os.geteuid() != 0:
        options = ["--user", "--map-root-user", "--map-auto", *options]
    return ["unshare", *options, "--", *argv] if options else list(argv)


def in_tree(tree: Path, argv: Sequence[str]) -> list[str]:
    """Return the command line that runs argv in a tree, with /dev, /proc, /sys, /run and /tmp."""
    return as_root(
        ["sh", "-ec", _CHROOT, "sh", str(tree), *argv],
        *("--mount", "--pid", "--fork", "--kill-child"),
    )


def run(argv: Sequence[str], log: Optional[Path] = None) -> str:
    """Run a command to its end and return its output, standard error included.

    log: append the command line and the output to this file. Raises CommandFailed if the exit
    status is not 0.
    """
    environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        errors="replace",
    )
    shown = " ".join(word for word in argv if "\n" not in word)
    if log is not None:
        with log.open("a") as file:
            file.write("$ " + shown + "\n" + done.stdout)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise CommandFailed(f"{shown} failed with exit status {done.returncode}:\n{tail}")
    return done.stdout
