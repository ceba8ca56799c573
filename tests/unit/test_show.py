# SPDX-License-Identifier: MIT
from storage_init.boot import show
from storage_init.formats.superblock import Filesystem


def test_a_filesystem():
    assert show.filesystem(None) == 'TYPE="unknown"'
    assert show.filesystem(Filesystem("xfs", "", "", 0)) == 'TYPE="xfs"'
    found = Filesystem("ext4", "ab-cd", 'a"b', 5)
    assert show.filesystem(found) == 'TYPE="ext4" UUID="ab-cd" LABEL="a?b"'


def test_nothing_passes_for_a_line_or_the_end_of_a_value():
    text = 'a"b\\c\x00\x1b\x7f\x85\u2028\u2029d\xe9\U0001f600'
    assert show.plain(text) == "a?b?c??????d\xe9\U0001f600"
