# SPDX-License-Identifier: MIT
from support import make, noise, raises

from storage_init.formats import elf


def header(machine, bits=64, big=False):
    order = "big" if big else "little"
    start = b"\x7fELF" + bytes([bits // 32, 2 if big else 1, 1]) + bytes(9)
    return start + (2).to_bytes(2, order) + machine.to_bytes(2, order)


def test_architecture():
    for machine, bits, name in (
        (62, 64, "x86-64"),
        (3, 32, "x86"),
        (40, 32, "arm"),
        (183, 64, "arm64"),
        (243, 64, "riscv64"),
        (243, 32, "riscv32"),
        (258, 64, "loongarch64"),
        (62, 32, ""),  # x32
        (4660, 64, ""),
    ):
        assert elf.architecture(header(machine, bits)) == name
        assert elf.architecture(header(machine, bits, True)) == name


def test_other_files_have_no_architecture():
    for data in (b"", b"\x7fELF", b"#!/bin/sh\n" * 9, header(62)[:-1], b"x" + header(62)[1:]):
        assert elf.architecture(data) == ""
    for seed in range(200):
        assert elf.architecture(b"\x7fELF" + noise(seed, seed % 40)) in ("", "x86-64", "arm64")


def test_own_architecture():
    for content, name in ((header(183) + bytes(100), "arm64"), (b"", ""), (None, "")):
        fake, kernel, _, _ = make({} if content is None else {"/proc/self/exe": content})
        assert elf.own(kernel) == name and fake.open_fds() == []


def test_an_error_of_reading_a_program_names_it():
    fake, kernel, _, _ = make({"/sbin/init": header(62)})
    fake.failures["sc_pread"] = 5
    error = raises(OSError, elf.head_of, kernel, "/sbin/init")
    assert error.args[1].startswith("read 20 bytes at 0 of /sbin/init: ")
    assert fake.open_fds() == []


def test_programs_run_on_their_own_and_on_larger_machines():
    for program, machine, runs in (
        ("x86-64", "x86-64", True),
        ("x86", "x86-64", True),
        ("x86-64", "x86", False),
        ("arm64", "x86-64", False),
        ("x86-64", "arm64", False),
        ("", "arm64", True),
        ("arm64", "", True),
    ):
        assert elf.runs_on(program, machine) is runs, (program, machine)
