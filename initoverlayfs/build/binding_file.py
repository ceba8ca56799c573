# SPDX-License-Identifier: MIT
"""Binding a mini-initramfs to its image: the id, and the hash tree where one is wanted.

storage_init/formats/binding.py describes the file that says so, and reads it at boot.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from initoverlayfs.build import initramfs
from initoverlayfs.errors import Failure
from initoverlayfs.target import Target
from storage_init.formats.binding import PATH, Identity, parse

# Of the image's data and of its hash tree, in bytes.
_BLOCK = 4096


def hash_tree(target: Target, image: str, uuid: str) -> str:
    """Append a hash tree to an image, a path in the target: the words that verify it.

    What is written is a dm-verity superblock and the tree, as `veritysetup verify` takes them. It
    is the same for the same image: the salt is made from the id. Raises Failure.
    """
    path = target.path(image)
    size = path.stat().st_size
    if size % _BLOCK:
        raise Failure(f"{path} has {size} bytes: an image with a hash tree has whole blocks")
    blocks = size // _BLOCK
    salt = hashlib.sha256(f"initoverlayfs {uuid}".encode()).hexdigest()
    line = ["veritysetup", "format", f"--uuid={uuid}", f"--salt={salt}", "--hash=sha256"]
    line += [f"--data-blocks={blocks}", f"--hash-offset={size}"]
    line += [f"--data-block-size={_BLOCK}", f"--hash-block-size={_BLOCK}", image, image]
    found = [text.split() for text in target.run(line).splitlines() if "Root hash:" in text]
    if len(found) != 1:
        raise Failure("veritysetup named no root hash; -v shows what it says")
    return f"1 {_BLOCK} {_BLOCK} {blocks} {blocks + 1} sha256 {found[0][-1]} {salt}"


def needs(target: Target, tree: str) -> list[str]:
    """The shared objects that the init of a stage 2 cannot start without: paths in its tree.

    tree: a directory in the target, with files of the target's own under the same names. Empty
    where ldd does not know it, as for a static program.
    """
    top = target.path(tree)
    init = top / "init"
    name = "/" + os.readlink(init).lstrip("/") if init.is_symlink() else "/init"
    script = 'ldd "$1" 2>/dev/null || true'
    found = set()
    for word in target.run(["sh", "-c", script, "sh", name]).split():
        if word.startswith("/"):
            # as they are in the tree, where an absolute link would lead out
            path = Path(os.path.realpath(top / word.lstrip("/")))
            if path.is_file() and top in path.parents:
                found.add("/" + str(path.relative_to(top)))
    return sorted(found)


def text(uuid: str, size: int, verity: str, needed: Sequence[str] = ()) -> str:
    """The file for an image of this id and size in bytes.

    verity: what hash_tree says, or "". needed: what needs says.
    """
    lines = [f"uuid {uuid}", f"size {size}"]
    lines += [f"needs {path}" for path in needed]
    lines += [f"verity {verity}"] if verity else []
    return "\n".join(lines) + "\n"


def archive(target: Target, work: str, content: dict[str, bytes]) -> bytes:
    """An uncompressed cpio archive of these files, names without a leading /, and directories.

    To put before an initramfs: the kernel unpacks one archive after the other. work: a directory in
    the target, for files in between.
    """
    top = target.path(f"{work}/bound")
    for name, data in {initramfs.EARLY: b"1\n", **content}.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    script = """
        cd "$1/bound"
        find . -mindepth 1 -exec touch -h -d @0 {} + -exec chmod u=rwX,go=rX {} +
        find . -mindepth 1 | LC_ALL=C sort |
            cpio --create --quiet --format=newc --reproducible --owner=0:0 >../bound.cpio
    """
    target.run(["sh", "-ec", script, "sh", work])
    return target.path(f"{work}/bound.cpio").read_bytes()


def read(path: Path) -> Optional[Identity]:
    """What a mini-initramfs is bound to; None for an initramfs that is bound to no image.

    Looks where `archive` puts it. Raises Failure for what cannot be read.
    """
    content = initramfs.first(path).get(PATH.lstrip("/"))
    try:
        return None if content is None else parse(content.decode(errors="replace"))
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
