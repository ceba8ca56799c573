# SPDX-License-Identifier: MIT
"""Partition tables made by sfdisk: storage-init and libblkid (partx) read the same."""

from pathlib import Path

import pytest
from disk_images import partitioned, run

from storage_init.formats.partitions import parse

SIZE = 64 << 20

GPT = """label: gpt
1: size=1M, name="EFI System"
6: size=1M, name="Größe"
7: size=2M
"""
MBR = """label: dos
label-id: 0xdeadbeef
1: size=1M
2: size=30M, type=5
4: size=4M
5: size=1M
6: size=2M
"""


def partx(path: Path) -> "list[tuple[int, str, str]]":
    found = []
    for line in run("partx", "--raw", "--noheadings", "-o", "NR,UUID,NAME", path).splitlines():
        number, uuid, label = [*line.split(" "), "", ""][:3]
        label = label.replace("\\x20", " ")
        found.append((int(number), uuid, label.encode().decode("unicode_escape")))
    return [(n, u, label.encode("latin-1").decode()) for n, u, label in found]


def ours(path: Path, sector: int = 512) -> "list[tuple[int, str, str]]":
    def read(offset: int, size: int) -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    return [(one.number, one.uuid, one.label) for one in parse(read, SIZE, sector)]


@pytest.mark.parametrize("table", [GPT, MBR], ids=["gpt", "mbr"])
def test_agrees_with_libblkid(table: str, tmp_path: Path) -> None:
    path = partitioned(tmp_path / "disk", SIZE, table)
    assert ours(path) == partx(path)


def test_numbers_and_labels(tmp_path: Path) -> None:
    assert [(n, label) for n, _, label in ours(partitioned(tmp_path / "gpt", SIZE, GPT))] == [
        (1, "EFI System"),
        (6, "Größe"),
        (7, ""),
    ]
    assert [p[:2] for p in ours(partitioned(tmp_path / "mbr", SIZE, MBR))] == [
        (number, f"deadbeef-{number:02x}") for number in (1, 2, 4, 5, 6)
    ]


def test_backup_is_read_if_the_primary_is_gone(tmp_path: Path) -> None:
    path = partitioned(tmp_path / "disk", SIZE, GPT)
    expected = partx(path)
    with path.open("r+b") as file:
        file.seek(512)
        file.write(bytes(33 * 512))
    assert ours(path) == expected == partx(path)
