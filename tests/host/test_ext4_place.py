# SPDX-License-Identifier: MIT
"""The ext4 reader of storage-init on filesystems made by the real mkfs.ext4 and debugfs."""

import os
import sys
from pathlib import Path

import built
import pytest
from disk_images import run

SIZE = 5_000_000
SCRIPT = """
import sys
from storage_init.formats import ext4
file = open(sys.argv[1], "rb")
def read(offset, size):
    file.seek(offset)
    return file.read(size)
try:
    place = ext4.locate(read, sys.argv[2])
    print(*[value for piece in place.pieces for value in piece], place.size)
except OSError as error:
    print("OSError", error.args[0], error.args[1])
"""

# options of mkfs.ext4 -> whether the reader refuses the filesystem, so that it must be mounted
OPTIONS = {
    "-b 4096": False,
    "-b 1024": False,
    "-b 2048 -I 128": False,
    "-b 4096 -O ^64bit": False,
    "-b 4096 -O metadata_csum_seed,large_dir,orphan_file": False,
    "-b 4096 -O bigalloc": False,
    "-b 1024 -O bigalloc": False,
    "-b 4096 -O ^has_journal": False,
    "-b 4096 -O ^flex_bg": False,
    "-b 4096 -O meta_bg,^resize_inode": True,
    "-b 4096 -O inline_data": True,
    "-b 4096 -O ^extents,^64bit": True,
    "-b 4096 -O casefold": True,
}


def locate(interpreter: str, image: Path, path: str) -> "list[str]":
    found = run(interpreter, "-c", SCRIPT, image, path)
    return found.split(" ", 2) if found.startswith("OSError") else found.split()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("tree")
    (top / "boot/loader").mkdir(parents=True)
    (top / "boot/loader/image.img").write_bytes(os.urandom(SIZE))
    for number in range(1500):  # an indexed directory of several blocks
        (top / f"boot/{number}-{'x' * 60}").touch()
    (top / "link").symlink_to("boot/loader/image.img")
    return top


@pytest.mark.parametrize("interpreter", ("python", "micropython"))
@pytest.mark.parametrize("options", OPTIONS)
def test_file_is_located(tmp_path: Path, tree: Path, options: str, interpreter: str) -> None:
    program = sys.executable if interpreter == "python" else built.program("micropython")
    image = tmp_path / "ext4"
    run("mkfs.ext4", "-q", *options.split(), "-N", "8192", "-d", tree, image, "64M")
    found = locate(program, image, "/boot/loader/image.img")
    if OPTIONS[options]:
        assert found[:2] == ["OSError", "95"]
        return
    *numbers, size = (int(number) for number in found)
    data = image.read_bytes()
    pieces = zip(numbers[::2], numbers[1::2])
    content = b"".join(data[offset : offset + length] for offset, length in pieces)
    assert size == SIZE and content[:size] == (tree / "boot/loader/image.img").read_bytes()
    assert locate(program, image, "/boot/other")[:2] == ["OSError", "2"]
    assert locate(program, image, "/link")[:2] == ["OSError", "95"]


@pytest.mark.parametrize("interpreter", ("python", "micropython"))
def test_dirty_journal_is_refused(tmp_path: Path, tree: Path, interpreter: str) -> None:
    program = sys.executable if interpreter == "python" else built.program("micropython")
    image = tmp_path / "ext4"
    run("mkfs.ext4", "-q", "-b", "4096", "-d", tree, image, "64M")
    assert locate(program, image, "/boot/loader/image.img")[0] != "OSError"
    run("debugfs", "-w", "-R", "feature needs_recovery", image)
    found = locate(program, image, "/boot/loader/image.img")
    assert found[:2] == ["OSError", "95"] and "not unmounted cleanly" in found[2]
