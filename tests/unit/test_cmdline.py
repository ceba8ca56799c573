# SPDX-License-Identifier: MIT
from storage_init.config.cmdline import module_parameters, split
from storage_init.kernel.compat import decode


def test_words_and_values():
    words, rest = split("quiet root=/dev/sda1 a=b=c ro\n")
    assert words == [("quiet", None), ("root", "/dev/sda1"), ("a", "b=c"), ("ro", None)]
    assert rest == []


def test_words_after_two_dashes_belong_to_init():
    assert split("a=1 -- b=2 single -- c") == ([("a", "1")], ["b=2", "single", "--", "c"])


def test_quotes_keep_spaces_and_are_removed_at_the_ends():
    assert split('a="x y" "b=p q" "c d"')[0] == [("a", "x y"), ("b", "p q"), ("c d", None)]


def test_quotes_inside_a_value_are_kept():
    assert split('a=x" "y')[0] == [("a", 'x" "y')]
    assert split('a"b c" d"e"')[0] == [('a"b c"', None), ('d"e"', None)]


def test_no_text_is_an_error():
    assert split("") == ([], [])
    assert split(" \t\n") == ([], [])
    assert split("=x")[0] == [("=x", None)]
    assert split('"')[0] == [("", None)]
    assert split('a="b')[0] == [("a", "b")]
    assert split('"a b')[0] == [("a b", None)]
    assert split("a=")[0] == [("a", "")]


def test_the_longest_command_line():
    words = ["word%d=%d" % (number, number) for number in range(300)]
    text = " ".join(words) + " "
    text += "x" * (4091 - len(text)) + " = y"  # COMMAND_LINE_SIZE on x86, less its NUL
    found, rest = split(text + "\n")
    assert len(text) == 4095 and len(found) == 303 and rest == []
    for number in range(300):
        assert found[number] == ("word%d" % number, str(number))
    assert found[-2:] == [("=", None), ("y", None)]
    assert split("x" * 4095)[0] == [("x" * 4095, None)]
    assert split('"' * 4095)[0][0][1] is None
    assert split('a="' + "b c=" * 1000)[0] == [("a", "b c=" * 1000)]


def test_bytes_outside_ascii():
    assert split(decode(b"a=\xc3\xa4 \xc3\xa4=b c=\xff\xfe d"))[0] == [
        ("a", "\xe4"),
        ("\xe4", "b"),
        ("c", "??"),
        ("d", None),
    ]
    # the no-break space of Latin-1 or UTF-8 is no separator
    assert split(decode(b"a\xa0b c\xc2\xa0d"))[0] == [("a?b", None), ("c\xa0d", None)]


def test_values_with_spaces_and_equals_signs():
    assert split('a="b=c d=e" f==g "h i==j k"')[0] == [
        ("a", "b=c d=e"),
        ("f", "=g"),
        ("h i", "=j k"),
    ]
    assert split('a="b c') == ([("a", "b c")], [])


def test_module_parameters():
    words, _ = split('loop.max_loop=8 usb-storage.quirks="a b" loop.x other.y=1 loop=2')
    assert module_parameters(words, "loop") == "max_loop=8 x"
    assert module_parameters(words, "usb_storage") == 'quirks="a b"'
    assert module_parameters(words, "ext4") == ""
    assert module_parameters(split("loop.a.b=1")[0], "loop") == "a.b=1"
