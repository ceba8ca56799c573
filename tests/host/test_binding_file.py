# SPDX-License-Identifier: MIT
"""The binding in a mini-initramfs, made by the real tools and read by storage-init."""

import subprocess
from pathlib import Path

import pytest

from harness import cpio
from initoverlayfs.build import binding_file, initramfs
from initoverlayfs.errors import Failure
from initoverlayfs.target import Target
from storage_init.formats.binding import PATH, parse

SYSTEM = Target(Path("/"))
UUID = "1f0e0000-0000-4000-8000-0000000071e5"


def test_storage_init_reads_the_text() -> None:
    words = f"1 4096 4096 2 3 sha256 {'ab' * 32} -"
    binding = parse(binding_file.text(UUID, 8192, words, ["/lib/a b"]))
    assert (binding.uuid, binding.size, binding.needs) == (UUID, 8192, ("/lib/a b",))
    assert binding.verity is not None and binding.verity.table == words
    assert parse(binding_file.text(UUID, 4096, "")).verity is None


def test_hash_tree_verifies_and_is_reproducible(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(range(256)) * 64)
    words = binding_file.hash_tree(SYSTEM, str(image), UUID)
    again = tmp_path / "again"
    again.write_bytes(bytes(range(256)) * 64)
    assert binding_file.hash_tree(SYSTEM, str(again), UUID) == words
    assert again.read_bytes() == image.read_bytes()
    verity = parse(binding_file.text(UUID, image.stat().st_size, words)).verity
    assert verity is not None and verity.size == 16384
    line = ["veritysetup", "verify", "--hash-offset=16384", str(image), str(image)]
    subprocess.run([*line, verity.root_hash], check=True, capture_output=True)
    # With the words of the binding alone, as the kernel verifies it.
    _, block, _, blocks, start, _, root_hash, salt = words.split()
    options = [f"--data-blocks={blocks}", f"--salt={salt}", "--hash=sha256", "--no-superblock"]
    line = ["veritysetup", "verify", *options, f"--hash-offset={int(start) * int(block)}"]
    line += [str(image), str(image)]
    subprocess.run([*line, root_hash], check=True, capture_output=True)
    assert subprocess.run([*line, "0" * 64], capture_output=True).returncode != 0
    image.write_bytes(b"x" * 20577)
    with pytest.raises(Failure, match=r"its size \(20577 bytes\) is no multiple of 4096$"):
        binding_file.hash_tree(SYSTEM, str(image), UUID)


def test_archive_is_reproducible_and_read_back(tmp_path: Path) -> None:
    text = binding_file.text(UUID, 8192, "").encode()
    made = [
        binding_file.archive(SYSTEM, str(work), {PATH.lstrip("/"): text})
        for work in (tmp_path / "a", tmp_path / "b")
    ]
    assert made[0] == made[1]
    path = tmp_path / "initramfs"
    path.write_bytes(made[0] + b"\x28\xb5\x2f\xfd and compressed data")
    assert initramfs.first_archive(path)[PATH.lstrip("/")] == text
    found = binding_file.read(path)
    assert found is not None and found.uuid == UUID
    path.write_bytes(
        binding_file.archive(SYSTEM, str(tmp_path / "c"), {PATH.lstrip("/"): b"uuid x"})
    )
    with pytest.raises(Failure, match="malformed binding: 'uuid x'"):
        binding_file.read(path)
    path.write_bytes(b"\x28\xb5\x2f\xfd")
    assert binding_file.read(path) is None


@pytest.mark.parametrize("microcode", [False, True])
def test_prepend_merges_early_archives(tmp_path: Path, microcode: bool) -> None:
    """lsinitrd expects the main archive behind the first trailer."""
    vendor = "kernel/x86/microcode/GenuineIntel.bin"
    early = cpio.write([cpio.entry("early_cpio", b"1\n"), cpio.entry(vendor, b"x" * 5)])
    main = b"\x28\xb5\x2f\xfd and compressed data"
    text = binding_file.text(UUID, 8192, "").encode()
    archive = binding_file.archive(SYSTEM, str(tmp_path / "work"), {PATH.lstrip("/"): text})
    path = tmp_path / "initramfs"
    path.write_bytes(initramfs.prepend(archive, early * microcode + main))
    assert path.read_bytes().partition(b"TRAILER!!!")[2].lstrip(b"\0") == main
    files = initramfs.first_archive(path)
    assert files["early_cpio"] == b"1\n" and (vendor in files) == microcode
    found = binding_file.read(path)
    assert found is not None and found.uuid == UUID
    # An uncompressed main archive is not an early one.
    plain = cpio.write([cpio.entry("init", b"x")])
    assert initramfs.prepend(archive, plain) == archive + plain


def test_libraries_of_an_init(tmp_path: Path) -> None:
    """Their paths are those in the tree; a link that leads out of it is ignored."""
    program = "/bin/sh"
    (libc,) = {
        word for word in SYSTEM.run(["ldd", program]).split() if "libc.so" in word and "/" in word
    }
    tree = tmp_path / "tree"
    real = tree / "usr" / Path(libc).resolve().relative_to("/usr")
    real.parent.mkdir(parents=True)
    real.touch()
    (tree / "lib").symlink_to("usr/lib")
    (tree / "init").symlink_to(program.lstrip("/"))
    assert binding_file.init_libraries(SYSTEM, str(tree)) == ["/" + str(real.relative_to(tree))]
    (tree / "init").unlink()
    (tree / "init").write_text("static")
    assert binding_file.init_libraries(SYSTEM, str(tree)) == []
