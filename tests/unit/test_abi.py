# SPDX-License-Identifier: MIT
from storage_init.kernel import abi


def test_constants_match_the_standard_library():
    try:
        from os import O_CREAT, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, WNOHANG
    except ImportError:  # MicroPython
        return
    mine = (abi.O_CREAT, abi.O_NONBLOCK, abi.O_RDONLY, abi.O_RDWR, abi.O_TRUNC, abi.O_WRONLY)
    assert mine == (O_CREAT, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY)
    assert abi.WNOHANG == WNOHANG


def test_reboot_commands_differ():
    assert len(set(abi.REBOOT.values())) == 3
