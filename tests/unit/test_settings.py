# SPDX-License-Identifier: MIT
from support import raises

from storage_init.config import settings
from storage_init.config.cmdline import split


def read(configuration="", command_line=""):
    result = settings.Settings()
    result.read_configuration(configuration, "conf")
    result.read_cmdline(split(command_line)[0])
    return result


def test_defaults():
    got = read()
    assert got.bootfs == "" and got.timeout == 30 and got.fs == "/initoverlayfs-%v.img"
    assert got.emergency == "reboot" and got.debug is False and got.warnings == []


def test_both_forms_of_a_line_comments_and_quotes():
    got = read('# c\nbootfs UUID=x # y\n bootfstype=ext4\n\tfs = "/a b.img" \noverlay\tsize=1G\n')
    assert got.warnings == []
    assert (got.bootfs, got.bootfstype, got.fs, got.overlay) == (
        "UUID=x",
        "ext4",
        "/a b.img",
        "size=1G",
    )


def test_comments_start_after_a_space_or_a_tab():
    for line in ("overlay a # b", "overlay a\t# b", "overlay a\t#b", 'overlay "a" #'):
        assert read(line + "\n").overlay == "a", line
    assert read("overlay a#b\n").overlay == "a#b"


def test_quotes_are_removed_only_around_a_whole_value():
    for text, value in (('"a b"', "a b"), ('a"b"c', 'a"b"c'), ('"a', '"a'), ('a"', 'a"')):
        got = read("overlay " + text + "\n")
        assert (got.overlay, got.warnings) == (value, []), text
    assert read('overlay ""\n').warnings == [
        "conf:1: overlay ignored: it is empty; using 'size=50%'"
    ]


def test_settings_with_a_malformed_value_are_not_configured():
    got = read("boot direct\nfallback nonsense\n")
    assert got.configured == {"boot"} and len(got.warnings) == 1


def test_the_last_word_of_the_command_line_wins():
    got = read("timeout 5\n", "rd.initoverlayfs.timeout=6 rd.timeout=7")
    assert got.timeout == 7 and got.warnings == []


def test_another_bootfs_drops_the_description_in_the_file():
    text = "bootfs UUID=x\nbootfstype ext4\nbootflags a\nbootfs_hint /dev/vda1\n"
    for words, expected in (
        ("", ("ext4", "a", "/dev/vda1")),
        ("rd.initoverlayfs.bootfs=UUID=x", ("ext4", "a", "/dev/vda1")),
        ("rd.initoverlayfs.bootfs=UUID=y", ("", "", "")),
        ("rd.initoverlayfs.bootfs=", ("ext4", "a", "/dev/vda1")),
        ("rd.initoverlayfs.bootfstype=vfat rd.initoverlayfs.bootfs=/dev/vdb", ("vfat", "", "")),
        ("rd.initoverlayfs.bootfs=/dev/vdb rd.initoverlayfs.bootflags=b", ("", "b", "")),
        ("rd.initoverlayfs.bootfs=/dev/vdb rd.initoverlayfs.bootfstype=a/b", ("", "", "")),
    ):
        found = read(text, words)
        assert (found.bootfstype, found.bootflags, found.bootfs_hint) == expected, words


def test_scsi_addresses():
    assert read("scsi.addr 0:0:1:0\n").scsi_addr == "0:0:1:0"
    assert read("scsi.addr=0:0:1:0\n", "scsi.addr=10:0:02:9").scsi_addr == "10:0:2:9"
    for bad in ("1:2:3", "1:2:3:4:5", "a:0:1:0", "0:0:-:0", "0:0::0", "0:0:1:99999999999", "-1"):
        got = read("", "scsi.addr=" + bad)
        assert got.scsi_addr == "" and got.warnings == [
            "kernel command line: scsi.addr: scsi.addr ignored:"
            " expected host:channel:target:lun, four decimal numbers; using none"
        ]


def test_a_flag_without_a_value_is_set():
    assert read("", "rd.initoverlayfs.debug").debug is True
    assert read("debug\n").debug is True
    assert read("debug 1", "rd.debug=0").debug is False


def test_an_empty_value_in_the_file_does_not_set_a_flag():
    for line in ("shell=", 'shell ""', "shell = # on"):
        settings = read("fs /f\n" + line)
        assert not settings.shell and "shell" not in settings.configured
        assert settings.warnings == ["conf:2: shell ignored: it is empty; using False"]
    settings = read("shell # on\nfs=#f")
    assert settings.shell and settings.warnings[0].startswith("conf:2: fs ")


def test_a_value_without_a_key_is_reported():
    assert read("=5\n  \n\t# comment\n").warnings == ["conf:1: unknown key '' ignored"]


def test_a_warning_names_place_key_and_the_value_used():
    cases = (
        ("nonsense 1", "", "conf:1: unknown key 'nonsense' ignored"),
        ("timeoutX 1", "", "conf:1: unknown key 'timeoutX' ignored"),
        (
            "\ntimeout x",
            "",
            "conf:2: timeout ignored: expected whole seconds, 1 to 86400; using 30",
        ),
        ("bootfs", "", "conf:1: bootfs ignored: it is empty; using none"),
        (
            "",
            "rd.initoverlayfs.timeout=-1",
            "kernel command line: rd.initoverlayfs.timeout: timeout ignored:"
            " expected whole seconds, 1 to 86400; using 30",
        ),
        (
            "",
            "rd.initoverlayfs.nope",
            "kernel command line: unknown word 'rd.initoverlayfs.nope' ignored",
        ),
    )
    for configuration, command_line, warning in cases:
        assert read(configuration, command_line).warnings == [warning]


def test_hostile_values_are_ignored():
    for bad in ("fs ../x", "fs /a/../b", "bootfs /dev/../etc", "bootfs x", "bootfstype a/b"):
        assert len(read(bad).warnings) == 1, bad


def test_references():
    for good in ("UUID=x", "LABEL=a b", "PARTUUID=x-01", "PARTLABEL=EFI", "/dev/vda1", "/dev/a/b"):
        got = read("bootfs " + good)
        assert (got.bootfs, got.warnings) == (good, [])
    for bad in ("UUID=", "PARTLABEL=", "partuuid=x", "TYPE=x", "/dev/", "/dev/../x", "vda", "="):
        assert len(read('bootfs "' + bad + '"').warnings) == 1, bad
    assert read("", "rd.initoverlayfs.bootfs_hint=/dev/vda2").bootfs_hint == "/dev/vda2"
    assert read("bootfs_hint UUID=x").bootfs_hint == ""


def test_values_with_spaces_equals_signs_and_umlauts():
    label = "LABEL=Bo\xf6t = 1"
    got = read("", 'rd.initoverlayfs.bootfs="' + label + '" rd.initoverlayfs.overlay=a=b,c=d')
    assert (got.bootfs, got.overlay, got.warnings) == (label, "a=b,c=d", [])
    got = read("bootfs = " + label + "\noverlay=a=b,c=d\n")
    assert (got.bootfs, got.overlay, got.warnings) == (label, "a=b,c=d", [])
    got = read('bootfs "' + label + '" # "\n')
    assert (got.bootfs, got.warnings) == (label, [])


def test_long_values():
    words = "rd.initoverlayfs.nope=" + "x" * 4000 + " rd.initoverlayfs.timeout=7"
    got = read("overlay " + "y" * 4096 + "\n", words)
    assert got.timeout == 7 and got.overlay == "y" * 4096
    assert got.warnings == ["kernel command line: unknown word 'rd.initoverlayfs.nope' ignored"]
    got = read("", "rd.initoverlayfs.timeout=" + "9" * 4000)
    assert got.timeout == 30 and len(got.warnings) == 1


def test_only_the_file_sets_the_mode():
    assert read("initoverlayfs_init systemd\n").initoverlayfs_init == "systemd"
    assert read("initoverlayfs_init systemd\n").warnings == []
    assert "expected init or systemd" in read("initoverlayfs_init upstart\n").warnings[0]
    taken = read("", "rd.initoverlayfs.initoverlayfs_init=systemd")
    assert taken.initoverlayfs_init == "init" and "unknown word" in taken.warnings[0]


def test_first_attempt_and_fallbacks():
    assert read().boot == "image" and read().fallback == "previous,direct,rescue"
    for words, first in (
        ("rd.initoverlayfs=direct", "direct"),
        ("rd.initoverlayfs=0", "direct"),
        ("rd.initoverlayfs=0 rd.initoverlayfs", "image"),
        ("rd.initoverlayfs=1", "image"),
    ):
        assert read("", words).boot == first, words
    assert read("fallback none\n").fallback == "none"
    assert len(read("fallback previous,\nfallback none,rescue\nfallback x\n").warnings) == 3


def test_break_points():
    assert read("", "rd.initoverlayfs.break=image").stop == "image"
    assert read("", "rd.break").stop == "switch_root"
    assert read("", "rd.initoverlayfs.break").stop == "switch_root"
    got = read("", "rd.break=pre-mount")  # dracut's, in stage 2
    assert (got.stop, got.warnings) == ("", [])
    assert read("", "rd.break=pre-mount rd.timeout=7").timeout == 7
    got = read("break find\n", "rd.initoverlayfs.break=nowhere")
    assert got.stop == "" and len(got.warnings) == 2
    assert got.warnings[1] == (
        "kernel command line: rd.initoverlayfs.break ignored:"
        " expected find, boot, image, overlay or switch_root; using none"
    )


def test_types_that_are_not_mounted_from_a_block_device_are_rejected():
    for name in ("virtiofs", "nfs", "tmpfs", "9p", "overlay", "cifs", "fuse", "ramfs", "hostfs"):
        for key in ("fstype", "bootfstype"):
            got = read("", "rd.initoverlayfs." + key + "=" + name)
            assert (got.fstype, got.bootfstype) == ("", "")
            assert got.warnings == [
                "kernel command line: rd.initoverlayfs.{}: {} ignored: {} is no type of a"
                " filesystem on a block device; using none".format(key, key, name)
            ]
    assert read("bootfstype ext4,tmpfs\n").bootfstype == ""


def test_a_detected_type_and_a_list_of_types():
    for text, kind in (("auto", ""), ("ext4,xfs", "ext4,xfs"), ("ext4,auto", "")):
        got = read("bootfstype " + text + "\n", "rd.initoverlayfs.fstype=" + text)
        assert (got.bootfstype, got.fstype, got.warnings) == (kind, kind, [])
    assert read("bootfstype ext4\n", "rd.initoverlayfs.bootfstype=auto").bootfstype == ""
    for bad in ("ext4,", ",", "ext4,,xfs"):
        assert len(read("bootfstype " + bad + "\n").warnings) == 1, bad


def test_verity_require_locks_settings():
    words = "rd.shell rd.break rd.initoverlayfs=0 rd.initoverlayfs.fallback=rescue rd.timeout=5"
    words += " rd.initoverlayfs.fstype=squashfs"
    got = read("verity require\n", words)
    assert (got.shell, got.stop, got.boot, got.fallback, got.fstype) == (
        False,
        "",
        "image",
        "previous,direct,rescue",
        "",
    )
    assert got.timeout == 5 and len(got.warnings) == 5
    assert got.warnings[0].endswith("rd.shell ignored: the configuration says verity require")
    assert read("verity require\nshell\n", "rd.shell=0").shell is True
    assert read("verity auto\n", words).shell is True
    assert "unknown word" in read("", "rd.initoverlayfs.verity=off").warnings[0]


def test_change_checks_name_and_value():
    got = settings.Settings()
    got.change("bootfs", "LABEL=x")
    got.change("timeout", "5")
    assert (got.bootfs, got.timeout) == ("LABEL=x", 5)
    assert raises(ValueError, got.change, "timeout", "x").args[0].startswith("timeout: expected ")
    for name, text in (("nope", "1"), ("bootfs", ""), ("warnings", "x")):
        assert raises(ValueError, got.change, name, text).args[0].startswith("no such setting")


def test_both_interpreters_agree_on_blanks_digits_and_nuls():
    for line in ("bootfs LABEL=\xa0\n", "bootfs=LABEL=\xa0\n"):
        got = read(line)
        assert (got.bootfs, got.warnings) == ("LABEL=\xa0", [])
    for bad in ("timeout \u0663", "timeout \xb2", "overlay a\0b"):
        got = read(bad + "\n")
        assert len(got.warnings) == 1 and (got.timeout, got.overlay) == (30, "size=50%"), bad


def test_the_boot_filesystem_in_the_spellings_of_fstab_and_udev():
    for text, reference in (
        ('UUID="1f0e"', "UUID=1f0e"),
        ("LABEL=my\\x20boot", "LABEL=my boot"),
        ("LABEL=my\\040boot", "LABEL=my boot"),
        ('LABEL="my boot"', "LABEL=my boot"),
        ("LABEL='my boot' # x", "LABEL=my boot"),
        ('LABEL="a #b" # "c', "LABEL=a #b"),
        ("/dev/disk/by-uuid/1F0E", "UUID=1F0E"),
        ("/dev/disk/by-partlabel/EFI\\x20x", "PARTLABEL=EFI x"),
    ):
        for line in ("bootfs " + text, "bootfs=" + text):
            got = read(line + "\n")
            assert (got.bootfs, got.warnings) == (reference, []), line
        if "#" not in text and "'" not in text:
            got = read("", "rd.initoverlayfs.bootfs=" + text)
            assert (got.bootfs, got.warnings) == (reference, []), text
    got = read("bootfs /dev/disk/by-id/ata-X\n")
    assert got.warnings == [
        "conf:1: bootfs ignored: only udev makes /dev/disk/by-id/ata-X; of its links, stage 1 knows"
        " by-uuid, by-label, by-partuuid, by-partlabel; using none"
    ]
    why = raises(ValueError, got.change, "bootfs", "/dev/disk/by-path/x").args[0]
    assert why.startswith("bootfs: only udev makes /dev/disk/by-path/x; ")


def test_another_spelling_of_a_uuid_is_the_same_boot_filesystem():
    for words, flags in (
        ("rd.initoverlayfs.bootfs=UUID=AB", "a"),
        ("rd.initoverlayfs.bootfs=/dev/disk/by-uuid/aB", "a"),
        ("rd.initoverlayfs.bootfs=LABEL=ab", ""),
    ):
        assert read("bootfs UUID=ab\nbootflags a\n", words).bootflags == flags, words
    words = "rd.initoverlayfs.bootfs=LABEL=AB"
    assert read("bootfs LABEL=ab\nbootflags a\n", words).bootflags == ""
