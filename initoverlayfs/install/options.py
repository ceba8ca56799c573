# SPDX-License-Identifier: MIT
"""The command line of initoverlayfs-install."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from initoverlayfs.build.mini import MODES
from initoverlayfs.machine.build_settings import RUNTIMES
from storage_init import __version__

_KEPT = "the previous choice, else"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; --help lists the options\n")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line.

    The result has force, kver, remove, if_configured, rollback, verify, root and verbose. mode,
    runtime, hostonly, verity (yes or no), verity_key and verity_cert are None if not given: see
    settings(). Wrong usage prints one line and raises SystemExit(2).
    """
    parser = _Parser(
        prog="initoverlayfs-install",
        allow_abbrev=False,
        description="Build a mini-initramfs and its initoverlayfs image, and install both on /boot."
        " Choices of --mode, --runtime, --verity and --hostonly are kept in initoverlayfs.conf.",
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace existing files")
    parser.add_argument(
        "--kver", metavar="RELEASE", help="kernel to build for [the running kernel]"
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        default=Path("/"),
        help="root directory of the system to build for; it must contain dracut and initoverlayfs"
        " [/]",
    )
    parser.add_argument(
        "--mode",
        choices=list(MODES),
        help="contents of the mini-initramfs: init: storage-init only; systemd: also systemd and"
        f" udev [{_KEPT} init]",
    )
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        help="interpreter of storage-init: micropython: a static program; python3: the system's"
        " CPython with cffi and pyudev, which requires --mode systemd"
        f" [{_KEPT} {RUNTIMES[0]}]",
    )
    verity = parser.add_mutually_exclusive_group()
    verity.add_argument(
        "--verity",
        action="store_const",
        const="yes",
        help="append a dm-verity hash tree to the image: the kernel verifies each block when it"
        f" reads it [{_KEPT} no]",
    )
    verity.add_argument(
        "--no-verity", dest="verity", action="store_const", const="no", help="append no hash tree"
    )
    parser.add_argument(
        "--verity-key",
        metavar="FILE",
        type=Path,
        help="append a hash tree and sign its root hash with this private key, PEM"
        " [the previous choice, else no signature]",
    )
    parser.add_argument(
        "--verity-cert",
        metavar="FILE",
        type=Path,
        help="certificate of --verity-key, PEM; the kernel must trust it",
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--rollback",
        action="store_true",
        help="exchange the current and the previous pair of mini-initramfs and image; build"
        " nothing",
    )
    action.add_argument(
        "--verify",
        action="store_true",
        help="check the installed files and change nothing: one line for each check; exit status 1"
        " if a check fails",
    )
    action.add_argument(
        "--remove",
        action="store_true",
        help="remove all files of the kernel --kver, installed or not; build nothing",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show the output of dracut")
    hostonly = parser.add_mutually_exclusive_group()
    hostonly.add_argument(
        "--hostonly",
        action="store_const",
        const="yes",
        help=f"install only the drivers of this machine [{_KEPT} as in dracut.conf]",
    )
    hostonly.add_argument(
        "--no-hostonly",
        dest="hostonly",
        action="store_const",
        const="no",
        help="install the drivers of common machines",
    )
    parser.add_argument(
        "--if-configured",
        action="store_true",
        help="do nothing if initoverlayfs.conf does not set bootfs; for hooks of kernel packages",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    chosen = parser.parse_args(arguments)
    if chosen.remove and not chosen.kver:
        parser.error("--remove requires --kver")
    if (chosen.verity_key is None) != (chosen.verity_cert is None):
        parser.error("--verity-key and --verity-cert require each other")
    if chosen.verity_key and chosen.verity == "no":
        parser.error("--verity-key: not allowed with --no-verity")
    return chosen


def settings(chosen: argparse.Namespace) -> dict[str, str]:
    """Return key -> value of the options that initoverlayfs.conf keeps; without those not given."""
    options = (
        ("initoverlayfs_init", chosen.mode),
        ("runtime", chosen.runtime),
        ("hostonly", chosen.hostonly),
        ("hash_tree", "yes" if chosen.verity_key else chosen.verity),
        ("verity_key", chosen.verity_key and os.path.abspath(chosen.verity_key)),
        ("verity_cert", chosen.verity_cert and os.path.abspath(chosen.verity_cert)),
    )
    return {key: value for key, value in options if value}
