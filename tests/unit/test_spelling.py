# SPDX-License-Identifier: MIT
from support import raises

from storage_init.config.spelling import plain


def test_quotes_around_a_name_or_the_reference_are_removed():
    for text in ('UUID="1f-0e"', "UUID='1f-0e'", '"UUID=1f-0e"', "'UUID=1f-0e'", "UUID=1f-0e"):
        assert plain(text) == "UUID=1f-0e", text
    for text in ("LABEL=\"a'", "LABEL=Bob's", 'LABEL="', 'LABEL=a"b"'):
        assert plain(text) == text


def test_escapes_of_udev_and_fstab():
    for text, name in (
        ("LABEL=my\\x20boot", "LABEL=my boot"),
        ("LABEL=my\\040boot", "LABEL=my boot"),
        ('LABEL="my\\040boot"', "LABEL=my boot"),
        ("PARTLABEL=a\\x2fb\\x5c", "PARTLABEL=a/b\\"),
        ("PARTLABEL=a\\x2Fb\\x5C", "PARTLABEL=a/b\\"),
        ("LABEL=Gr\\xc3\\xb6\\303\\237e", "LABEL=Gr\xf6\xdfe"),
        ("LABEL=a\\134x20b", "LABEL=a\\x20b"),
        ("LABEL=a\\043\\0401", "LABEL=a# 1"),
        ("LABEL=\\x2\\xg0\\04\\400\\08\\", "LABEL=\\x2\\xg0\\04\\400\\08\\"),
        ("LABEL=\\xff\\377", "LABEL=??"),
        ("/dev/my\\040disk", "/dev/my disk"),
        ("/dev/my\\x20disk", "/dev/my\\x20disk"),
    ):
        assert plain(text) == name, text


def test_links_of_udev_become_tags():
    for text, reference in (
        ("/dev/disk/by-uuid/1F-0e", "UUID=1F-0e"),
        ("/dev/disk/by-label/my\\x20boot", "LABEL=my boot"),
        ("/dev/disk/by-label/my\\134x20boot", "LABEL=my boot"),
        ('"/dev/disk/by-label/a=b"', "LABEL=a=b"),
        ("/dev/disk/by-partuuid/ab-01", "PARTUUID=ab-01"),
        ("/dev/disk/by-partlabel/EFI\\x20system\\x2f1", "PARTLABEL=EFI system/1"),
    ):
        assert plain(text) == reference, text


def test_other_links_are_refused_with_the_reason():
    known = "by-uuid, by-label, by-partuuid, by-partlabel"
    for text in (
        "/dev/disk/by-id/ata-X-part1",
        "/dev/disk/by-path/pci-0000:00",
        "/dev/disk/by-diskseq/1",
        "/dev/disk/by-uuid/",
        "/dev/disk/by-label/a/b",
        "/dev/disk/",
    ):
        why = raises(ValueError, plain, text).args[0]
        assert why == "only udev makes {}; of its links, stage 1 knows {}".format(text, known)


def test_control_characters_are_refused():
    for text in ("LABEL=\\x00", "LABEL=a\\x0a", "LABEL=\\012", "LABEL=\\x7f", "/dev/\\011"):
        why = raises(ValueError, plain, text).args[0]
        assert why == "an escape stands for a control character", text
