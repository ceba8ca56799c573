# SPDX-License-Identifier: MIT
"""initoverlayfs-install in a real Debian tree: the pair that it builds, and its refusals."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import cpio, debian, disk
from harness.debian import INSTALL, attempt, complaints, digests, outside, sha
from harness.guest import Guest
from harness.privilege import as_root, run

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def tree(guest: Guest, deb: Path) -> Iterator[Path]:
    """Make a Debian tree with a plain initramfs and no pair."""
    with debian.tree("install-tree", deb) as directory:
        run(as_root(["cp", str(guest.plain_initrd), str(plain(directory, guest.kver))]))
        yield directory


def plain(tree: Path, kver: str) -> Path:
    """Return the path at which dracut puts the plain initramfs."""
    return tree / f"boot/initrd.img-{kver}"


# name -> shell script that breaks a requirement, command, part of its single line of output
REFUSALS = {
    "no dracut": (
        "mount --bind /dev/null /usr/bin/dracut",
        INSTALL,
        "command dracut not found in /: install the package dracut there",
    ),
    "no mkfs.erofs": (
        "mount --bind /dev/null /usr/bin/mkfs.erofs",
        INSTALL,
        "command mkfs.erofs not found in /: install the package erofs-utils there",
    ),
    "mkfs.erofs without the compressor": (
        "printf '#!/bin/sh\\necho invalid compressor lz4hc >&2; exit 1\\n' >/tmp/mkfs;"
        " chmod 755 /tmp/mkfs; mount --bind /tmp/mkfs /usr/bin/mkfs.erofs",
        INSTALL,
        "mkfs.erofs fails with -zlz4hc,6 -C65536: install erofs-utils 1.5 or later",
    ),
    "dracut fails": (
        "printf '#!/bin/sh\\necho out of luck >&2; exit 3\\n' >/tmp/dracut;"
        " chmod 755 /tmp/dracut; mount --bind /tmp/dracut /usr/bin/dracut",
        INSTALL,
        "dracut failed with exit status 3: out of luck; add -v to see its full output",
    ),
    "kernel without modules": ("", INSTALL + " --kver 5.0", "kernel 5.0 has no modules"),
    "not root": (
        "",
        "setpriv --reuid 65534 --regid 65534 --clear-groups " + INSTALL,
        "only root can build images",
    ),
    "unknown option": ("", INSTALL + " --frob", "unrecognized arguments: --frob"),
    "no -f": ("", "initoverlayfs-install", " exists: add -f to replace it"),
    "/boot read-only": (
        "mount -o bind,ro /boot /boot",
        INSTALL,
        "/boot is mounted read-only",
    ),
    "/boot full": (
        "truncate -s 40M /tmp/disk; mkfs.ext4 -q /tmp/disk; mount -o loop /tmp/disk /boot",
        INSTALL,
        "not enough space on /boot: ",
    ),
    "configuration without bootfs": (
        "echo timeout 3 >/tmp/conf; touch /etc/initoverlayfs.conf;"
        " mount --bind /tmp/conf /etc/initoverlayfs.conf; trap 'umount /etc/initoverlayfs.conf;"
        " rm /etc/initoverlayfs.conf' EXIT",
        INSTALL,
        "does not set bootfs: add the line `bootfs UUID=",
    ),
    "no veritysetup": (
        "mount --bind /dev/null /usr/sbin/veritysetup",
        INSTALL + " --verity",
        "command veritysetup not found in /, required for the hash tree: install the package"
        " cryptsetup-bin there",
    ),
    "another run": (
        "mkdir -p /var/cache/initoverlayfs; exec 9>/var/cache/initoverlayfs/lock; flock 9",
        INSTALL,
        "another initoverlayfs-install is running: it holds /var/cache/initoverlayfs/lock",
    ),
    "the image is a partition": (
        f"printf 'bootfs UUID={disk.BOOT_UUID}\\nfs -\\n' >/etc/initoverlayfs.conf;"
        " trap 'rm /etc/initoverlayfs.conf' EXIT",
        INSTALL,
        "sets `fs -` (the image is a partition), which initoverlayfs-install cannot write",
    ),
    "python3 in the default mode": (
        "",
        INSTALL + " --runtime python3",
        "runtime python3 requires systemd in the mini-initramfs, but the mode is init:"
        " add --mode systemd, or --runtime micropython",
    ),
    "python3 in the configured mode": (
        f"printf 'bootfs UUID={disk.BOOT_UUID}\\ninitoverlayfs_init init\\n'"
        " >/etc/initoverlayfs.conf; trap 'rm /etc/initoverlayfs.conf' EXIT",
        INSTALL + " --runtime python3",
        "but the mode is init: add --mode systemd",
    ),
    "python3 without its modules": (
        "",
        INSTALL + " --mode systemd --runtime python3",
        "runtime python3: python3 in / lacks _cffi_backend, pyudev: install the Debian packages"
        " python3-cffi-backend, python3-pyudev or their equivalents there",
    ),
    "unknown filesystem": (
        "echo 'UUID=aa /boot zfs' >/tmp/fstab; mount --bind /tmp/fstab /etc/fstab",
        INSTALL,
        "/boot is zfs, which storage-init cannot mount",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(tree: Path, name: str) -> None:
    """The program prints a single line, fails, and changes no file."""
    setup, command, reason = REFUSALS[name]
    before = digests(tree)
    status, output = attempt(tree, f"{setup}\n{command}")
    lines = complaints(output)
    assert status in (1, 2) and len(lines) == 1, output
    assert lines[0].startswith("initoverlayfs-install: ") and reason in lines[0]
    assert digests(tree) == before


def test_sigterm_during_the_build(tree: Path) -> None:
    """SIGTERM leaves all files unchanged and ends dracut's processes."""
    before = digests(tree)
    script = f"timeout 4 {INSTALL}; echo status $?; grep -l dracut /proc/[0-9]*/comm"
    output = attempt(tree, script)[1]
    assert "interrupted\nstatus 124\n" in output and "/comm" not in output, output
    assert digests(tree) == before


def test_install_from_outside(tree: Path, guest: Guest) -> None:
    """initoverlayfs-install --root builds the same mini-initramfs from outside as in the tree.

    The plain initramfs is kept, and a second build gives the same image.
    """
    kver = guest.kver
    initrd = plain(tree, kver)
    kept = initrd.with_name(initrd.name + ".dracut")
    before = sha(initrd)
    output = outside(tree, "-f", "--no-hostonly")
    assert re.search(rf"^initrd.img-{re.escape(kver)} +[0-9.]+ MB +[0-9.]+ MB ", output, re.M)
    assert re.search(rf"^initoverlayfs-{re.escape(kver)}.img +- +[0-9.]+ MB ", output, re.M)
    assert sha(kept) == before
    names = {entry.name.lstrip("./") for entry in cpio.read(initrd.read_bytes())}
    assert {"init", "etc/initoverlayfs.conf", "usr/lib/initoverlayfs/modules"} <= names
    programs = {name for name in names if re.search(r"bin/(bash|sh|udevadm|systemd|kmod)$", name)}
    assert not programs and not any("systemd" in name for name in names)
    # Modules that every boot loads are decompressed; the kernel decompresses the others.
    found = {name.rpartition("/")[2] for name in names if ".ko" in name}
    assert {"erofs.ko", "overlay.ko", "loop.ko", "ext4.ko.xz", "nvme.ko.xz"} <= found
    assert not found & {"erofs.ko.xz", "overlay.ko.xz", "ext4.ko", "nvme.ko"}
    assert sha(initrd) == sha(guest.initrd)
    image = tree / f"boot/initoverlayfs-{kver}.img"
    assert not [path.name for path in image.parent.iterdir() if path.name.endswith(".new")]
    verified = outside(tree, "--verify").splitlines()
    assert len(verified) == 7 and not [line for line in verified if ": wrong: " in line], verified
    first = sha(image)
    # A second run does not keep the mini-initramfs as the plain one.
    outside(tree, "-f", "--no-hostonly")
    assert (sha(kept), sha(image)) == (before, first)


def test_plain_dracut_stays_plain(guest: Guest) -> None:
    """Without initoverlayfs-install, dracut's initramfs contains no file of the package."""
    names = {entry.name for entry in cpio.read(guest.plain_initrd.read_bytes())}
    assert any("systemd" in name for name in names)
    assert not any("initoverlayfs" in name or "storage-init" in name for name in names)
