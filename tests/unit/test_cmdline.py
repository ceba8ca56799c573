# SPDX-License-Identifier: MIT
from storage_init.cmdline import module_parameters, split


def test_words_and_values():
    words, rest = split("quiet root=/dev/sda1 a=b=c ro\n")
    assert words == [("quiet", None), ("root", "/dev/sda1"), ("a", "b=c"), ("ro", None)]
    assert rest == []


def test_what_follows_two_dashes_is_inits():
    assert split("a=1 -- b=2 single -- c") == ([("a", "1")], ["b=2", "single", "--", "c"])


def test_quotes_protect_spaces_and_are_removed_at_the_ends():
    assert split('a="x y" "b=p q" "c d"')[0] == [("a", "x y"), ("b", "p q"), ("c d", None)]


def test_quotes_inside_a_value_stay():
    assert split('a=x" "y')[0] == [("a", 'x" "y')]


def test_odd_texts_have_a_reading():
    assert split("") == ([], [])
    assert split(" \t\n") == ([], [])
    assert split("=x")[0] == [("=x", None)]
    assert split('"')[0] == [("", None)]
    assert split('a="b')[0] == [("a", "b")]
    assert split("a=")[0] == [("a", "")]


def test_module_parameters():
    words, _ = split('loop.max_loop=8 usb-storage.quirks="a b" loop.x other.y=1 loop=2')
    assert module_parameters(words, "loop") == "max_loop=8 x"
    assert module_parameters(words, "usb_storage") == 'quirks="a b"'
    assert module_parameters(words, "ext4") == ""
