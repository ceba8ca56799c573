# SPDX-License-Identifier: MIT
from support import raises

from storage_init.config import knobs


def test_help_names_every_knob_in_lines_that_fit():
    lines = knobs.help_lines()
    text = "\n".join(lines)
    for knob in knobs.KNOBS:
        assert "  " + (knob.key or knob.words[0]) + " " in text, knob.name
    assert not [line for line in lines if len(line) > 100]


def test_names_are_used_once():
    names = [knob.name for knob in knobs.KNOBS]
    words = [word for knob in knobs.KNOBS for word in knob.words]
    assert len(set(names)) == len(names) and len(set(words)) == len(words)


def test_defaults_are_what_their_parsers_take():
    for knob in knobs.KNOBS:
        if knob.default != "":
            assert knob.parse(knobs.shown_default(knob)) == knob.default, knob.name
        if knob.bare:
            knob.parse(knob.bare)


def test_what_cannot_be_taken():
    bad = {
        "bootfs": ("x", "UUID=", "/dev/"),
        "bootfs_hint": ("UUID=x", "/dev/../x"),
        "fs": ("x", "/a/../b", "--"),
        "fstype": ("a/b", "EXT4", "a b"),
        "timeout": ("-1", "0", "1.5", "86401", "999999", "\xb2"),
        "rootwait": ("0", "x", "86401", ""),
        "rootdelay": ("301", "-1", "x", ""),
        "debug": ("maybe", "2"),
        "emergency": ("explode",),
        "fallback": ("", "direct,none"),
        "stop": ("exec",),
        "verity": ("on",),
        "verity_key": ("key.pem", "./key.pem"),
        "erofs_compression": ("lz4;reboot", "lz4 x"),
    }
    for knob in knobs.KNOBS:
        for text in bad.pop(knob.name, ()):
            raises(ValueError, knob.parse, text)
    assert bad == {}
