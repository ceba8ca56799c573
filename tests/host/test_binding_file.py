# SPDX-License-Identifier: MIT
"""What initoverlayfs-install writes into a mini-initramfs, by this system's own tools."""

import subprocess
from pathlib import Path

import pytest

from harness import cpio
from initoverlayfs.build import binding_file, initramfs
from initoverlayfs.errors import Failure
from initoverlayfs.install import options as command_line
from initoverlayfs.target import Target
from storage_init.formats.binding import PATH, parse

HERE = Target(Path("/"))
UUID = "1f0e0000-0000-4000-8000-0000000071e5"


def test_what_storage_init_reads_of_it() -> None:
    words = f"1 4096 4096 2 3 sha256 {'ab' * 32} -"
    got = parse(binding_file.text(UUID, 8192, words, ["/lib/a b"]))
    assert (got.uuid, got.size, got.needs) == (UUID, 8192, ("/lib/a b",))
    assert got.verity is not None and got.verity.table == words
    assert parse(binding_file.text(UUID, 4096, "")).verity is None


def test_a_hash_tree_that_verifies(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(range(256)) * 64)
    words = binding_file.hash_tree(HERE, str(image), UUID)
    again = tmp_path / "again"
    again.write_bytes(bytes(range(256)) * 64)
    assert binding_file.hash_tree(HERE, str(again), UUID) == words
    assert again.read_bytes() == image.read_bytes()
    verity = parse(binding_file.text(UUID, image.stat().st_size, words)).verity
    assert verity is not None and verity.size == 16384
    line = ["veritysetup", "verify", "--hash-offset=16384", str(image), str(image)]
    subprocess.run([*line, verity.root_hash], check=True, capture_output=True)
    # by the words alone, as the kernel does it
    _, block, _, blocks, start, _, root_hash, salt = words.split()
    options = [f"--data-blocks={blocks}", f"--salt={salt}", "--hash=sha256", "--no-superblock"]
    line = ["veritysetup", "verify", *options, f"--hash-offset={int(start) * int(block)}"]
    line += [str(image), str(image)]
    subprocess.run([*line, root_hash], check=True, capture_output=True)
    assert subprocess.run([*line, "0" * 64], capture_output=True).returncode != 0
    image.write_bytes(b"x" * 4097)
    with pytest.raises(Failure, match="whole blocks"):
        binding_file.hash_tree(HERE, str(image), UUID)


def test_the_archive_is_read_back(tmp_path: Path) -> None:
    text = binding_file.text(UUID, 8192, "").encode()
    made = [
        binding_file.archive(HERE, str(work), {PATH.lstrip("/"): text})
        for work in (tmp_path / "a", tmp_path / "b")
    ]
    assert made[0] == made[1]
    path = tmp_path / "initramfs"
    path.write_bytes(made[0] + b"\x28\xb5\x2f\xfd and what is compressed")
    assert initramfs.first(path)[PATH.lstrip("/")] == text
    found = binding_file.read(path)
    assert found is not None and found.uuid == UUID
    path.write_bytes(binding_file.archive(HERE, str(tmp_path / "c"), {PATH.lstrip("/"): b"uuid x"}))
    with pytest.raises(Failure, match="malformed binding: 'uuid x'"):
        binding_file.read(path)
    path.write_bytes(b"\x28\xb5\x2f\xfd")
    assert binding_file.read(path) is None


@pytest.mark.parametrize("microcode", [False, True])
def test_all_that_comes_before_the_main_archive_is_one(tmp_path: Path, microcode: bool) -> None:
    """The first trailer is where lsinitrd looks for the main archive."""
    vendor = "kernel/x86/microcode/GenuineIntel.bin"
    early = cpio.write([cpio.entry("early_cpio", b"1\n"), cpio.entry(vendor, b"x" * 5)])
    main = b"\x28\xb5\x2f\xfd and what is compressed"
    text = binding_file.text(UUID, 8192, "").encode()
    archive = binding_file.archive(HERE, str(tmp_path / "work"), {PATH.lstrip("/"): text})
    path = tmp_path / "initramfs"
    path.write_bytes(initramfs.prefixed(archive, early * microcode + main))
    assert path.read_bytes().partition(b"TRAILER!!!")[2].lstrip(b"\0") == main
    files = initramfs.first(path)
    assert files["early_cpio"] == b"1\n" and (vendor in files) == microcode
    found = binding_file.read(path)
    assert found is not None and found.uuid == UUID
    # what is not compressed is no early archive
    plain = cpio.write([cpio.entry("init", b"x")])
    assert initramfs.prefixed(archive, plain) == archive + plain


def test_what_an_init_needs(tmp_path: Path) -> None:
    """By the names that the files have in its tree, where a link leads to none outside."""
    program = "/bin/sh"
    (libc,) = {
        word for word in HERE.run(["ldd", program]).split() if "libc.so" in word and "/" in word
    }
    tree = tmp_path / "tree"
    real = tree / "usr" / Path(libc).resolve().relative_to("/usr")
    real.parent.mkdir(parents=True)
    real.touch()
    (tree / "lib").symlink_to("usr/lib")
    (tree / "init").symlink_to(program.lstrip("/"))
    assert binding_file.needs(HERE, str(tree)) == ["/" + str(real.relative_to(tree))]
    (tree / "init").unlink()
    (tree / "init").write_text("static")
    assert binding_file.needs(HERE, str(tree)) == []


def test_one_thing_at_a_time(capsys: "pytest.CaptureFixture[str]") -> None:
    for first, second in (("--verify", "--rollback"), ("--remove", "--verify")):
        with pytest.raises(SystemExit):
            command_line.parse([first, second, "--kver", "6"])
        assert "not allowed with argument" in capsys.readouterr().err
