# SPDX-License-Identifier: MIT
from storage_init.boot.mount_options import parse


def test_flags_of_mount_are_flags():
    for word, flag in (
        ("ro", 1),
        ("nosuid", 2),
        ("nodev", 4),
        ("noexec", 8),
        ("sync", 16),
        ("mand", 64),
        ("dirsync", 128),
        ("nosymfollow", 256),
        ("noatime", 1024),
        ("nodiratime", 2048),
        ("silent", 32768),
        ("relatime", 1 << 21),
        ("iversion", 1 << 23),
        ("strictatime", 1 << 24),
        ("lazytime", 1 << 25),
    ):
        assert parse(word, 0) == (flag, ""), word
    assert parse("noatime,nodiratime", 0) == (1024 | 2048, "")


def test_the_last_word_about_a_flag_wins():
    for text in (
        "ro,rw",
        "nosuid,suid",
        "nodev,dev",
        "noexec,exec",
        "sync,async",
        "noatime,atime",
        "nodiratime,diratime",
        "relatime,norelatime",
        "strictatime,nostrictatime",
        "lazytime,nolazytime",
        "mand,nomand",
        "silent,loud",
        "iversion,noiversion",
        "nosymfollow,symfollow",
    ):
        first, last = text.split(",")
        assert parse(text, 0) == (0, ""), text
        assert parse(last + "," + first, 0) == parse(first, 0)


def test_no_option_clears_a_flag_of_the_caller():
    assert parse("rw,suid,dev,exec,atime", 15) == (15, "")


def test_what_only_mount_and_systemd_understand_is_dropped():
    for text in (
        "defaults,nofail,x-systemd.device-timeout=0,_netdev",
        "fail,auto,noauto,user,nouser,users,owner,group,user=me,comment=systemd.automount",
        "x-initrd.mount,X-mount.mkdir=0755,x-gvfs-show,nousers,noowner,nogroup,rshared,private",
        ",,",
    ):
        assert parse(text, 0) == (0, ""), text


def test_everything_else_goes_to_the_filesystem_in_order():
    text = "subvol=@,quiet,compress=zstd:1,errors=remount-ro,noload,discard,usrquota,nobarrier"
    assert parse("defaults," + text + ",noatime", 0) == (1024, text)
