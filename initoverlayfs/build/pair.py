# SPDX-License-Identifier: MIT
"""Build a pair: the mini-initramfs and the image side by side, then the binding between them."""

import concurrent.futures
import os
from pathlib import Path

from initoverlayfs.build import binding_file, image, initramfs, mini, requirements, signature
from initoverlayfs.build.job import Job, wants_hash_tree
from initoverlayfs.errors import Failure
from storage_init.formats import superblock
from storage_init.formats.binding import PATH, SIGNATURE, parse


def build(job: Job) -> tuple[Path, Path]:
    """Build a pair and return the paths of the mini-initramfs and the image. Raises Failure."""
    requirements.require_compressor(job)
    built = _build_both(job)
    bind(job, *built)
    return built


def _build_both(job: Job) -> tuple[Path, Path]:
    """Run both builds at the same time; the first failure ends the other one."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        started = [pool.submit(mini.build, job), pool.submit(image.build, job)]
        try:
            for future in concurrent.futures.as_completed(started):
                future.result()
        except BaseException:
            job.target.stop()
            raise
    return started[0].result(), started[1].result()


def bind(job: Job, mini_path: Path, image_path: Path) -> None:
    """Write the binding into the mini-initramfs; first append the hash tree if one is configured.

    With verity_key, the mini-initramfs also gets the signature of the root hash, as it is written
    in the dm-verity table. Raises Failure.
    """
    with image_path.open("rb") as file:
        filesystem = superblock.identify(lambda at, size: os.pread(file.fileno(), size, at))
    if filesystem is None:
        raise Failure(f"mkfs.erofs: {image_path} has no EROFS superblock: add -v to see its output")
    verity = ""
    if wants_hash_tree(job.settings):
        verity = binding_file.hash_tree(job.target, f"{job.work}/image", filesystem.uuid)
    required = binding_file.init_libraries(job.target, f"{job.work}/tree")
    text = binding_file.text(filesystem.uuid, image_path.stat().st_size, verity, required)
    files = {PATH.lstrip("/"): text.encode()}
    tree = parse(text).verity
    if tree and job.settings.verity_key:
        files[SIGNATURE.lstrip("/")] = signature.sign(tree.root_hash, job.settings)
    archive = binding_file.archive(job.target, job.work, files)
    mini_path.write_bytes(initramfs.prepend(archive, mini_path.read_bytes()))
