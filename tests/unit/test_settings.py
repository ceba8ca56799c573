# SPDX-License-Identifier: MIT
from support import raises

from storage_init import settings
from storage_init.cmdline import split


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


def test_the_command_line_wins_and_its_last_word():
    got = read("timeout 5\n", "rd.initoverlayfs.timeout=6 rd.timeout=7")
    assert got.timeout == 7 and got.warnings == []


def test_a_scsi_address():
    assert read("scsi.addr 0:0:1:0\n").scsi_addr == "0:0:1:0"
    assert read("scsi.addr=0:0:1:0\n", "scsi.addr=10:0:02:9").scsi_addr == "10:0:2:9"
    for bad in ("1:2:3", "1:2:3:4:5", "a:0:1:0", "0:0:-:0", "0:0::0", "0:0:1:99999999999", "-1"):
        got = read("", "scsi.addr=" + bad)
        assert got.scsi_addr == "" and got.warnings == [
            "kernel command line: scsi.addr: scsi.addr ignored:"
            " want host:channel:target:lun, four decimal numbers; using none"
        ]


def test_a_flag_needs_no_value():
    assert read("", "rd.initoverlayfs.debug").debug is True
    assert read("debug\n").debug is True
    assert read("debug 1", "rd.debug=0").debug is False


def test_what_is_wrong_becomes_one_warning_that_names_place_key_and_value_used():
    cases = (
        ("nonsense 1", "", "conf:1: unknown key 'nonsense' ignored"),
        ("\ntimeout x", "", "conf:2: timeout ignored: want whole seconds, 0 to 86400; using 30"),
        ("bootfs", "", "conf:1: bootfs ignored: it is empty; using none"),
        (
            "",
            "rd.initoverlayfs.timeout=-1",
            "kernel command line: rd.initoverlayfs.timeout: timeout ignored:"
            " want whole seconds, 0 to 86400; using 30",
        ),
        (
            "",
            "rd.initoverlayfs.nope",
            "kernel command line: unknown word 'rd.initoverlayfs.nope' ignored",
        ),
    )
    for configuration, command_line, warning in cases:
        assert read(configuration, command_line).warnings == [warning]


def test_hostile_values_are_refused():
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


def test_help_names_every_knob():
    text = "\n".join(settings.help_lines())
    for knob in settings.KNOBS:
        assert knob.key in text


def test_parsers_say_what_they_want():
    assert "UUID=" in raises(ValueError, settings.KNOBS[0].parse, "x").args[0]


def test_the_mode_is_the_files_to_say():
    assert read("initoverlayfs_init systemd\n").initoverlayfs_init == "systemd"
    assert read("initoverlayfs_init systemd\n").warnings == []
    assert "want init or systemd" in read("initoverlayfs_init upstart\n").warnings[0]
    taken = read("", "rd.initoverlayfs.initoverlayfs_init=systemd")
    assert taken.initoverlayfs_init == "init" and "unknown word" in taken.warnings[0]
