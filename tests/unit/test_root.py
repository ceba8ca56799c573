# SPDX-License-Identifier: MIT
from support import raises

from storage_init.config import root
from storage_init.config.cmdline import split
from storage_init.formats.partitions import Partition
from storage_init.kernel.failure import BootFailure


def parse(text):
    return root.parse(split(text)[0])


def test_every_word_is_parsed():
    got = parse("root=UUID=x ro rootflags=subvol=@ rootfstype=btrfs init=/bin/sh quiet")
    assert got == ("UUID=x", "btrfs", "subvol=@", False, "/bin/sh")


def test_the_last_word_wins():
    got = parse("root=/dev/sda1 ro root=PARTUUID=ab-02 rw")
    assert got == ("PARTUUID=ab-02", "", "", True, "")
    assert parse("root=UUID=x") == ("UUID=x", "", "", False, "")
    assert parse("root=UUID=x rw quiet").writable is True
    assert parse("root=UUID=x rw ro").writable is False


def test_the_reference_of_a_root_that_is_mounted_read_write():
    for words, reference in (
        ("root=UUID=x rw", "UUID=x"),
        ("root=/dev/sda1 root=UUID=x ro rw", "UUID=x"),
        ("rw root=UUID=x ro", ""),
        ("root=UUID=x", ""),
        ("root=UUID=x rootflags=noatime,rw", "UUID=x"),
        ("root=UUID=x rootflags=rw ro", ""),
        ("root=UUID=x rootflags=rw,ro", ""),
        ("rootflags=rw root=UUID=x", "UUID=x"),
        ("root=UUID=x rootflags rw", "UUID=x"),
        ("root=UUID=x rw=1", ""),
        ("rw", ""),
        ("root=gpt-auto rw", ""),
    ):
        assert root.writable_reference(split(words)[0]) == reference, words


def test_an_init_that_is_not_a_path_is_ignored():
    assert parse("root=/dev/sda1 init=sh").init == ""


def test_roots_that_require_stage_2():
    for words, part in (
        ("root=dissect", "root=dissect requires"),
        (
            "quiet systemd.gpt_auto=0",
            "no root= on the kernel command line, and gpt_auto=0 disables its discovery",
        ),
        ("root=gpt-auto rd.systemd.gpt_auto=no", "no root= on the kernel command line"),
        ("systemd.gpt_auto=false", "no root= on the kernel command line"),
        ("systemd.gpt_auto=off", "no root= on the kernel command line"),
        ("root=nfs:1.2.3.4:/x", "root=nfs:1.2.3.4:/x requires"),
        ("root=/dev/mapper/vg-root", "root=/dev/mapper/vg-root requires stage 2"),
        ("root=/dev/md0", "root=/dev/md0 requires stage 2"),
        ("root=8:1", "root=8:1 requires stage 2"),
        ("root=UUID=x rd.luks.uuid=y", "rd.luks.uuid on the kernel command line requires stage 2"),
        ("root=UUID=x resume=/dev/sda3", "resume on"),
        ("root=UUID=x rd.lvm.lv=a/b", "rd.lvm.lv on"),
        ("root=UUID=x mount.usr=UUID=z", "mount.usr on"),
        ("root=UUID=x ostree=/a", "ostree on"),
        ("root=UUID=x roothash=00", "roothash on"),
        ("root=UUID=x usrhash=00", "usrhash on"),
        ("root=UUID=x rd.md.uuid=y", "rd.md.uuid on"),
        ("rd.lvm.lv=a/b", "rd.lvm.lv on"),
        ("systemd.gpt_auto=n", "no root= on the kernel command line"),
        ("systemd.gpt_auto=F", "no root= on the kernel command line"),
        ("systemd.gpt-auto=False", "no root= on the kernel command line"),
        ("systemd.gpt_auto=0 systemd.gpt_auto=maybe", "no root= on the kernel command line"),
        ("root=/dev/vg0/root", "root=/dev/vg0/root requires stage 2"),
        ("root=/dev/md/root", "root=/dev/md/root requires stage 2"),
        ("root=/dev/zvol/a/b", "root=/dev/zvol/a/b requires stage 2"),
        ("root=/dev/block/8:1", "root=/dev/block/8:1 requires stage 2"),
        ("root=/dev/nfs", "root=/dev/nfs requires stage 2"),
        (
            "root=/dev/disk/by-id/x",
            "root=/dev/disk/by-id/x requires stage 2: only udev makes /dev/disk/by-id/x; ",
        ),
        ("root=UUID=x overlayroot=tmpfs", "overlayroot on the kernel command line requires"),
    ):
        assert raises(BootFailure, parse, words).args[0].startswith(part), words
    assert parse("root=UUID=x rd.lvm=0 rd.luks=no").reference == "UUID=x"
    assert parse("root=UUID=x resume=/dev/sda3 noresume").reference == "UUID=x"
    assert parse("root=UUID=x resume= rd.luks=off rd.multipath=0").reference == "UUID=x"


def test_references_in_the_spellings_of_fstab_and_udev():
    for text, reference in (
        ('UUID="x"', "UUID=x"),
        ("LABEL=my\\x20root", "LABEL=my root"),
        ("LABEL=my\\040root", "LABEL=my root"),
        ("/dev/disk/by-uuid/x", "UUID=x"),
        ("/dev/disk/by-label/my\\x20root", "LABEL=my root"),
        ("/dev/disk/by-partuuid/x", "PARTUUID=x"),
        ("/dev/disk/by-partlabel/x\\x2fy", "PARTLABEL=x/y"),
        ("/dev/cciss/c0d0p1", "/dev/cciss/c0d0p1"),
    ):
        assert parse("root=" + text).reference == reference, text
        assert root.writable_reference(split("rw root=" + text)[0]) == reference
    assert root.writable_reference(split("rw root=/dev/disk/by-id/x")[0]) == ""


def test_the_discovery_follows_the_booleans_of_systemd():
    for words in ("systemd.gpt_auto", "systemd.gpt_auto=On", "systemd.gpt_auto=maybe"):
        assert parse(words).reference == root.DISCOVER, words
    assert parse("systemd.gpt_auto=n rd.systemd.gpt_auto=y").reference == root.DISCOVER


def test_the_type_of_the_root_filesystem():
    for text, kind in (("auto", ""), ("ext4,xfs", "ext4,xfs"), ("xfs", "xfs"), ("", "")):
        assert parse("root=UUID=x rootfstype=" + text).fstype == kind
    for bad, why in (
        ("nfs", "nfs is no type of a filesystem on a block device"),
        ("ext4,overlay", "overlay is no type of a filesystem on a block device"),
        ("ext4,", "malformed filesystem type"),
    ):
        text = raises(BootFailure, parse, "root=UUID=x rootfstype=" + bad).args[0]
        assert text == "rootfstype={} requires stage 2: {}".format(bad, why)


def test_a_missing_root_is_discovered():
    for words in ("quiet", "root=", "root=gpt-auto", "root=gpt-auto-force", "systemd.gpt_auto=1"):
        got = parse(words + " rootfstype=xfs rw")
        assert got == (root.DISCOVER, "xfs", "", True, ""), words
    assert parse("root=UUID=x systemd.gpt_auto=0").reference == "UUID=x"


ROOT = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
ARM64 = "b921b045-1df0-41c3-af44-4c6f280d3fae"
HOME = "933ac7e1-2eb4-4f13-b844-0e14e2aef915"
NO_AUTO = 1 << 63


def table(*kinds):
    return [Partition(n + 1, "u", "", kind, bits) for n, (kind, bits) in enumerate(kinds)]


def test_discover_returns_the_first_root_partition_of_the_architecture():
    found = table((HOME, 0), (ARM64, 0), (ROOT, NO_AUTO), (ROOT, 1 << 60), (ROOT, 0))
    got = root.discover(found, "x86-64", "/dev/sda")
    assert got.number == 4 and root.read_only(got)
    got = root.discover(found, "arm64", "/dev/sda")
    assert got.number == 2 and not root.read_only(got)


def test_discover_without_a_root_partition():
    for found, architecture, why in (
        (table((HOME, 0), (ARM64, 0)), "x86-64", "no root-x86-64 partition on /dev/sda: set root="),
        ([], "riscv64", "no root-riscv64 partition on /dev/sda: set root="),
        (table(("", 0)), "arm64", "no root-arm64 partition on /dev/sda: set root="),
        (
            table((ROOT, NO_AUTO | 1 << 60)),
            "x86-64",
            "the root-x86-64 partition of /dev/sda is marked no-auto: set root=",
        ),
        (
            table((ROOT, 0)),
            "",
            "the type of root partitions of this architecture is unknown: set root=",
        ),
    ):
        error = raises(BootFailure, root.discover, found, architecture, "/dev/sda")
        assert error.args[0] == why
