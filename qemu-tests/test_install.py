# SPDX-License-Identifier: MIT
"""initoverlayfs-install in a real Debian tree: what it builds, and what it refuses."""

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
    """With a plain initramfs, no images yet."""
    with debian.tree("install-tree", deb) as directory:
        run(as_root(["cp", str(guest.plain_initrd), str(plain(directory, guest.kver))]))
        yield directory


def plain(tree: Path, kver: str) -> Path:
    return tree / f"boot/initrd.img-{kver}"


# name -> what is wrong, in the shell; the command; what the one line has to say
REFUSALS = {
    "no dracut": (
        "mount --bind /dev/null /usr/bin/dracut",
        INSTALL,
        "no dracut in /: install the package dracut there",
    ),
    "no mkfs.erofs": (
        "mount --bind /dev/null /usr/bin/mkfs.erofs",
        INSTALL,
        "no mkfs.erofs in /: install the package erofs-utils there",
    ),
    "mkfs.erofs without the compressor": (
        "printf '#!/bin/sh\\necho invalid compressor lz4hc >&2; exit 1\\n' >/tmp/mkfs;"
        " chmod 755 /tmp/mkfs; mount --bind /tmp/mkfs /usr/bin/mkfs.erofs",
        INSTALL,
        "mkfs.erofs cannot do -zlz4hc,6 -C65536: install an erofs-utils of version 1.5",
    ),
    "dracut fails": (
        "printf '#!/bin/sh\\necho out of luck >&2; exit 3\\n' >/tmp/dracut;"
        " chmod 755 /tmp/dracut; mount --bind /tmp/dracut /usr/bin/dracut",
        INSTALL,
        "dracut failed (status 3): out of luck; -v shows all it says",
    ),
    "kernel without modules": ("", INSTALL + " --kver 5.0", "kernel 5.0 has no modules"),
    "not root": (
        "",
        "setpriv --reuid 65534 --regid 65534 --clear-groups " + INSTALL,
        "only root can build images",
    ),
    "unknown option": ("", INSTALL + " --frob", "unrecognized arguments: --frob"),
    "no -f": ("", "initoverlayfs-install", "is there already: -f replaces it"),
    "/boot read-only": (
        "mount -o bind,ro /boot /boot",
        INSTALL,
        "/boot is mounted read-only",
    ),
    "/boot full": (
        "truncate -s 40M /tmp/disk; mkfs.ext4 -q /tmp/disk; mount -o loop /tmp/disk /boot",
        INSTALL,
        " MB free, and ",
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
        "no veritysetup in /, to make the hash tree: install the package cryptsetup-bin there",
    ),
    "another one at work": (
        "mkdir -p /var/cache/initoverlayfs; exec 9>/var/cache/initoverlayfs/lock; flock 9",
        INSTALL,
        "another initoverlayfs-install is at work",
    ),
    "the image is a partition": (
        f"printf 'bootfs UUID={disk.BOOT_UUID}\\nfs -\\n' >/etc/initoverlayfs.conf;"
        " trap 'rm /etc/initoverlayfs.conf' EXIT",
        INSTALL,
        "says `fs -`, the image itself is a partition",
    ),
    "python3 in the default mode": (
        "",
        INSTALL + " --runtime python3",
        "runtime python3 needs systemd in the mini-initramfs, and the mode is init:"
        " add --mode systemd, or --runtime micropython",
    ),
    "python3 in the configured mode": (
        f"printf 'bootfs UUID={disk.BOOT_UUID}\\ninitoverlayfs_init init\\n'"
        " >/etc/initoverlayfs.conf; trap 'rm /etc/initoverlayfs.conf' EXIT",
        INSTALL + " --runtime python3",
        "and the mode is init: add --mode systemd",
    ),
    "python3 without its modules": (
        "",
        INSTALL + " --mode systemd --runtime python3",
        "runtime python3: python3 in / has no _cffi_backend, pyudev: install there what Debian"
        " calls python3-cffi-backend, python3-pyudev",
    ),
    "unknown filesystem": (
        "echo 'UUID=aa /boot zfs' >/tmp/fstab; mount --bind /tmp/fstab /etc/fstab",
        INSTALL,
        "/boot is zfs, which storage-init cannot boot from",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(tree: Path, name: str) -> None:
    """One line says what is wrong and what to do; the exit status is not 0; no file changed."""
    setup, command, said = REFUSALS[name]
    before = digests(tree)
    status, output = attempt(tree, f"{setup}\n{command}")
    lines = complaints(output)
    assert status in (1, 2) and len(lines) == 1, output
    assert lines[0].startswith("initoverlayfs-install: ") and said in lines[0]
    assert digests(tree) == before


def test_stopped_half_way(tree: Path) -> None:
    """SIGTERM while dracut runs: nothing has changed, and nothing is left running or lying."""
    before = digests(tree)
    script = f"timeout 4 {INSTALL}; echo status $?; grep -l dracut /proc/[0-9]*/comm"
    output = attempt(tree, script)[1]
    assert "interrupted\nstatus 124\n" in output and "/comm" not in output, output
    assert digests(tree) == before


def test_both_images(tree: Path, guest: Guest) -> None:
    """From outside the tree it builds what it built inside, keeps the plain initramfs, and says so.

    The same input gives the same bytes, though another directory and another time.
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
    # unpacked is what every boot loads; the kernel unpacks the rest by itself
    found = {name.rpartition("/")[2] for name in names if ".ko" in name}
    assert {"erofs.ko", "overlay.ko", "loop.ko", "ext4.ko.xz", "nvme.ko.xz"} <= found
    assert not found & {"erofs.ko.xz", "overlay.ko.xz", "ext4.ko", "nvme.ko"}
    assert sha(initrd) == sha(guest.initrd)
    image = tree / f"boot/initoverlayfs-{kver}.img"
    assert not [path.name for path in image.parent.iterdir() if path.name.endswith(".new")]
    verified = outside(tree, "--verify").splitlines()
    assert len(verified) == 7 and not [line for line in verified if ": wrong: " in line], verified
    first = sha(image)
    # once more: the mini-initramfs is not taken for the plain one
    outside(tree, "-f", "--no-hostonly")
    assert (sha(kept), sha(image)) == (before, first)


def test_plain_dracut_stays_plain(guest: Guest) -> None:
    """With the package installed, what dracut makes by itself holds nothing of it."""
    names = {entry.name for entry in cpio.read(guest.plain_initrd.read_bytes())}
    assert any("systemd" in name for name in names)
    assert not any("initoverlayfs" in name or "storage-init" in name for name in names)
