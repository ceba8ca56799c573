# SPDX-License-Identifier: MIT
"""The command line of initoverlayfs-install."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from initoverlayfs.build.dracut import MODES
from initoverlayfs.machine.build_settings import RUNTIMES
from storage_init import __version__


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; --help lists the options\n")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """force, kver, remove, if_configured, rollback, verify, root, verbose, and what is kept in the
    configuration: mode, runtime, hostonly, verity (yes or no), verity_key and verity_cert, each
    None where it is not given.

    Wrong usage ends the program: one line, exit status 2.
    """
    parser = _Parser(
        prog="initoverlayfs-install",
        allow_abbrev=False,
        description="Build the mini-initramfs and the initoverlayfs image, and put both on /boot.",
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace images that are there")
    parser.add_argument("--kver", metavar="RELEASE", help="kernel to build for [the running one]")
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        default=Path("/"),
        help="the system to build for, with dracut and initoverlayfs installed in it [/]",
    )
    parser.add_argument(
        "--mode",
        choices=list(MODES),
        help="what runs in the mini-initramfs: storage-init alone, or with systemd and udev"
        " [as the last time; else init]",
    )
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        help="what runs storage-init there: MicroPython, in the one static program, or the system's"
        " CPython with cffi and pyudev, for systemd mode alone [as the last time; else the former]",
    )
    verity = parser.add_mutually_exclusive_group()
    verity.add_argument(
        "--verity",
        action="store_const",
        const="yes",
        help="give the image a hash tree, by which each block is checked when it is read [as the"
        " last time; else no]",
    )
    verity.add_argument(
        "--no-verity", dest="verity", action="store_const", const="no", help="no hash tree"
    )
    parser.add_argument(
        "--verity-key",
        metavar="FILE",
        type=Path,
        help="a hash tree with a signed root hash: the private key, PEM [as the last time]",
    )
    parser.add_argument(
        "--verity-cert",
        metavar="FILE",
        type=Path,
        help="the certificate of that key, PEM, which the kernel has to trust",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--rollback",
        action="store_true",
        help="go back to the mini-initramfs and the image before these; once more, forth again",
    )
    instead.add_argument(
        "--verify",
        action="store_true",
        help="change nothing and check what is installed: a line for each item; exit status 1 if"
        " one is wrong",
    )
    instead.add_argument(
        "--remove",
        action="store_true",
        help="remove all files of the kernel --kver, which goes or has gone; build nothing",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show what dracut says")
    hostonly = parser.add_mutually_exclusive_group()
    hostonly.add_argument(
        "--hostonly",
        action="store_const",
        const="yes",
        help="drivers of this machine only [as the last time; else as dracut.conf says]",
    )
    hostonly.add_argument(
        "--no-hostonly",
        dest="hostonly",
        action="store_const",
        const="no",
        help="drivers of common machines",
    )
    parser.add_argument(
        "--if-configured",
        action="store_true",
        help="do nothing where initoverlayfs.conf has no bootfs: for the hooks of kernel packages",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    chosen = parser.parse_args(arguments)
    if chosen.remove and not chosen.kver:
        parser.error("--remove needs --kver")
    if (chosen.verity_key is None) != (chosen.verity_cert is None):
        parser.error("--verity-key and --verity-cert need each other")
    if chosen.verity_key and chosen.verity == "no":
        parser.error("--verity-key: not allowed with --no-verity")
    return chosen
