# SPDX-License-Identifier: MIT
"""Make and read the binding in a mini-initramfs: image ID, hash tree, required files.

storage_init/formats/binding.py describes the file's format, and reads it at boot.
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
from storage_init.kernel.failure import BootFailure

# Block size of the image's data and of its hash tree, in bytes.
_BLOCK = 4096


def hash_tree(target: Target, image: str, uuid: str) -> str:
    """Append a hash tree to an image; return the words of the binding that verify it.

    image: a path in the target. uuid: the image ID; the salt is derived from it, so the same image
    gets the same hash tree. Appends a dm-verity superblock and the tree, as `veritysetup verify`
    expects them. Raises Failure.
    """
    path = target.path(image)
    size = path.stat().st_size
    if size % _BLOCK:
        raise Failure(
            f"cannot append a hash tree to {path}: its size ({size} bytes) is no multiple of"
            f" {_BLOCK}"
        )
    blocks = size // _BLOCK
    salt = hashlib.sha256(f"initoverlayfs {uuid}".encode()).hexdigest()
    line = ["veritysetup", "format", f"--uuid={uuid}", f"--salt={salt}", "--hash=sha256"]
    line += [f"--data-blocks={blocks}", f"--hash-offset={size}"]
    line += [f"--data-block-size={_BLOCK}", f"--hash-block-size={_BLOCK}", image, image]
    found = [text.split() for text in target.run(line).splitlines() if "Root hash:" in text]
    if len(found) != 1:
        raise Failure("veritysetup format printed no root hash: add -v to see its output")
    return f"1 {_BLOCK} {_BLOCK} {blocks} {blocks + 1} sha256 {found[0][-1]} {salt}"


def init_libraries(target: Target, tree: str) -> list[str]:
    """Return the shared objects without which the init of a stage 2 cannot start, sorted.

    tree: the directory in the target with stage 2's content. Runs ldd on the target's own init,
    from which dracut has copied that of the tree. Returns absolute paths inside the tree; none for
    a static program, and for an init that the target itself lacks.
    """
    top = target.path(tree)
    init = top / "init"
    name = "/" + os.readlink(init).lstrip("/") if init.is_symlink() else "/init"
    script = 'ldd "$1" 2>/dev/null || true'
    found = set()
    for word in target.run(["sh", "-c", script, "sh", name]).split():
        if word.startswith("/"):
            # An absolute link leads out of the tree: such a file is ignored.
            path = Path(os.path.realpath(top / word.lstrip("/")))
            if path.is_file() and top in path.parents:
                found.add("/" + str(path.relative_to(top)))
    return sorted(found)


def text(uuid: str, size: int, verity: str, required: Sequence[str] = ()) -> str:
    """Return the binding's text for an image with this ID and size in bytes.

    verity: the words from hash_tree(), or "". required: the paths from init_libraries().
    """
    lines = [f"uuid {uuid}", f"size {size}"]
    lines += [f"needs {path}" for path in required]
    lines += [f"verity {verity}"] if verity else []
    return "\n".join(lines) + "\n"


def archive(target: Target, work: str, content: dict[str, bytes]) -> bytes:
    """Return an uncompressed cpio archive with files, their directories, and EARLY.

    The kernel unpacks one archive after the other, so it can be put before an initramfs. content:
    names without a leading / -> data. work: a directory in the target for temporary files. The same
    content gives the same bytes. Raises Failure.
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
    """Return the binding of a mini-initramfs, None for an initramfs without one.

    Reads the first archive only, where archive() and prepend() put the binding. Raises Failure if
    the file cannot be read or the binding is malformed.
    """
    content = initramfs.first_archive(path).get(PATH.lstrip("/"))
    try:
        return None if content is None else parse(content.decode(errors="replace"))
    except BootFailure as failure:
        raise Failure(f"{path}: {failure}") from None
