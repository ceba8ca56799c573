# SPDX-License-Identifier: MIT
"""Parsers of hostile input: any text and any bytes give a result, or the documented error."""

import struct

from hypothesis import example, given
from hypothesis import strategies as st

from storage_init.boot import planning
from storage_init.boot.step import describe
from storage_init.config import cmdline
from storage_init.config.boot_settings import BOOT_SETTINGS, BUILD_KEYS, PREFIX
from storage_init.config.settings import Settings
from storage_init.devices import uevent
from storage_init.formats import superblock
from storage_init.formats.module_tables import Aliases, Modules

# Keywords among random text: random text alone rarely reaches the parsers' branches.
PIECES = [setting.key for setting in BOOT_SETTINGS]
PIECES += [word for setting in BOOT_SETTINGS for word in setting.words]
PIECES += [
    *BUILD_KEYS,
    "root=",
    "init=",
    "=",
    " ",
    "\t",
    '"',
    "#",
    "--",
    "UUID=",
    "/dev/",
    "..",
    "%v",
    "\n",
    "\x00",
    "\xff",
    "30",
]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=40).map("".join)


def assert_valid(settings: Settings, words: "list[cmdline.Word]") -> None:
    """Assert that each setting has a value of its type, and that the plans can be printed."""
    for setting in BOOT_SETTINGS:
        value = getattr(settings, setting.name)
        assert type(value) is type(setting.default)
    for mode in ("init", "systemd"):
        assert describe(planning.make(settings, "6.12.1", mode, words))


@given(TEXTS)
def test_command_line(text: str) -> None:
    words, arguments = cmdline.split(text)
    assert all(isinstance(word, str) for word in arguments)
    settings = Settings()
    settings.read_cmdline(words)
    assert_valid(settings, words)
    assert all("\n" not in warning.split("ignored")[0] for warning in settings.warnings)
    cmdline.module_parameters(words, "loop")


@given(TEXTS)
@example("bootfs " + "x" * 4096)
@example('bootfs="UUID=a b"\r\n')
def test_configuration(text: str) -> None:
    settings = Settings()
    settings.read_configuration(text)
    assert_valid(settings, [])


@given(st.lists(st.one_of(st.integers(1, 86400).map(str), st.sampled_from(["", "x", "-1", "0"]))))
def test_last_valid_word_wins(values: "list[str]") -> None:
    settings = Settings()
    settings.read_cmdline([(PREFIX + "timeout", value) for value in values])
    taken = [int(value) for value in values if value.isdigit() and value != "0"]
    assert settings.timeout == (taken or [Settings().timeout])[-1]
    assert len(settings.warnings) == len(values) - len(taken)


@given(st.lists(st.text("abcXYZ0189._/-", min_size=1, max_size=6), max_size=8))
def test_plain_words_are_unchanged(words: "list[str]") -> None:
    words = [word for word in words if word != "--"]
    assert cmdline.split(" ".join(words)) == ([(word, None) for word in words], [])


@given(st.binary(max_size=400))
@example(b"add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0")
@example(b"@\0\0\0=\0")
def test_uevent(message: bytes) -> None:
    event = uevent.parse(message)
    assert event is None or isinstance(event["ACTION"], str)


SIGNATURES = [
    (1080, b"\x53\xef"),
    (0, b"XFSB"),
    (65536 + 64, b"_BHRfS_M"),
    (510, b"\x55\xaa"),
    (54, b"FAT16   "),
    (82, b"FAT32   "),
    (1024, struct.pack("<I", 0xE0F5E1E2)),
    (0, b"hsqs"),
]


@given(st.binary(max_size=2048), st.lists(st.sampled_from(SIGNATURES), max_size=3), st.integers())
def test_superblock(noise: bytes, signatures: "list[tuple[int, bytes]]", cut: int) -> None:
    disk = bytearray((noise * (70000 // max(len(noise), 1) + 1))[:70000])
    for at, text in signatures:
        disk[at : at + len(text)] = text
    data = bytes(disk[: cut % 70001])
    found = superblock.identify(lambda at, size: data[at : at + size])
    assert found is None or (found.type and isinstance(found.uuid, str) and found.size >= 0)


@given(st.binary(max_size=300), st.text(max_size=30))
@example(b"# pci:4\npci:\t[\tm\n", "pci:[")
def test_module_tables(table: bytes, modalias: str) -> None:
    Aliases(table).lookup(modalias)
    modules = Modules(table)
    assert modalias not in modules or len(modules[modalias]) == 3
