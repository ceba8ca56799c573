# SPDX-License-Identifier: MIT
from storage_init import compat


def test_decode_never_fails():
    assert compat.decode(b"plain") == "plain"
    assert compat.decode("gr\u00fcn".encode()) == "gr\u00fcn"
    assert compat.decode(b"a\xffb\xc3") == "a?b?"
    assert compat.decode(bytes(range(256)))[:128] == "".join([chr(i) for i in range(128)])
    assert compat.decode(b"") == ""


def test_it_says_what_it_runs_on():
    assert compat.IMPLEMENTATION.split()[0] == ("MicroPython" if compat.MICROPYTHON else "CPython")
