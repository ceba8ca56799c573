# SPDX-License-Identifier: MIT
from support import raises

from storage_init import root
from storage_init.cmdline import split


def parse(text):
    return root.parse(split(text)[0])


def test_words():
    got = parse("root=UUID=x ro rootflags=subvol=@ rootfstype=btrfs init=/bin/sh quiet")
    assert got == ("UUID=x", "btrfs", "subvol=@", False, "/bin/sh")


def test_the_last_word_wins():
    got = parse("root=/dev/sda1 ro root=PARTUUID=ab-02 rw")
    assert got == ("PARTUUID=ab-02", "", "", True, "")


def test_an_init_that_is_no_path_is_none():
    assert parse("root=/dev/sda1 init=sh").init == ""


def test_what_takes_stage_2():
    for words, part in (
        ("quiet", "there is no root="),
        ("root=", "there is no root="),
        ("root=nfs:1.2.3.4:/x", "root=nfs:1.2.3.4:/x takes more"),
        ("root=/dev/mapper/vg-root", "takes more than stage 1 has"),
        ("root=/dev/md0", "takes more"),
        ("root=8:1", "takes more"),
        ("root=UUID=x rd.luks.uuid=y", "rd.luks.uuid on the kernel command line asks for stage 2"),
        ("root=UUID=x resume=/dev/sda3", "resume on"),
        ("root=UUID=x rd.lvm.lv=a/b", "rd.lvm.lv on"),
        ("root=UUID=x mount.usr=UUID=z", "mount.usr on"),
        ("root=UUID=x ostree=/a", "ostree on"),
    ):
        assert part in raises(OSError, parse, words).args[1], words
    assert parse("root=UUID=x rd.lvm=0 rd.luks=no").reference == "UUID=x"
