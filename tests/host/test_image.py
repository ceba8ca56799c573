# SPDX-License-Identifier: MIT
"""The image of stage 2, made by the real mkfs.erofs from what a stub of dracut writes."""

import re
import subprocess
import uuid
from pathlib import Path

import pytest
from host_support import Dracut
from pairs_support import image_id

from initoverlayfs.build import image
from initoverlayfs.build.job import Job
from initoverlayfs.errors import Failure

STAGE2 = ("init", "etc/initrd-release", "usr/bin/true")


@pytest.fixture
def dracut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dracut:
    """A dracut that writes a stage 2 without kernel modules."""
    monkeypatch.setattr(image, "_DECOMPRESS_MODULES", "")
    dracut = Dracut(tmp_path)
    dracut.prepare(STAGE2)
    return dracut


def test_image_contains_the_files_of_the_initramfs(dracut: Dracut, tmp_path: Path) -> None:
    job = dracut.job()
    path = image.build(job)
    extracted = tmp_path / "extracted"
    subprocess.run(["fsck.erofs", f"--extract={extracted}", path], check=True, capture_output=True)
    files = [file.relative_to(extracted) for file in extracted.rglob("*") if file.is_file()]
    assert sorted(map(str, files)) == sorted(STAGE2)
    requested = dracut.requested(job, "stage2.cpio")
    assert requested["no_compress"] and requested["no_early_microcode"] and requested["no_uefi"]


@pytest.mark.parametrize(
    ("text", "module"), [("", "initoverlayfs-stage2"), ("coldplug all\n", None)]
)
def test_coldplug_setting_selects_our_dracut_module(
    dracut: Dracut, text: str, module: "str | None"
) -> None:
    job = dracut.job(text)
    image.build(job)
    assert dracut.requested(job, "stage2.cpio")["add"] == module


def test_image_id_depends_on_content_compression_and_hash_tree(dracut: Dracut) -> None:
    jobs = [dracut.job(text) for text in ("", "", "erofs_compression none\n", "hash_tree yes\n")]
    ids = [image_id(image.build(job)) for job in jobs]
    dracut.prepare([*STAGE2, "usr/bin/false"])
    ids.append(image_id(image.build(dracut.job())))
    assert ids[0] == ids[1] and len(set(ids)) == 4


@pytest.mark.parametrize("missing", ["init", "etc/initrd-release"])
def test_stage_2_without_init_fails(dracut: Dracut, missing: str) -> None:
    dracut.prepare([name for name in STAGE2 if name != missing])
    with pytest.raises(Failure, match=f"made a stage 2 without /{missing}: its modules systemd"):
        image.build(dracut.job())


def made(job: Job) -> Path:
    """Make an EROFS filesystem from a file of 1 MB that compresses well."""
    tree = job.path("tree")
    tree.mkdir()
    (tree / "file").write_bytes(b"initoverlayfs\n" * 70000)
    image.make_erofs(job, "image", "tree", uuid.UUID(int=1))
    return job.path("image")


def test_compression_setting(dracut: Dracut) -> None:
    compressed = made(dracut.job())
    plain = made(dracut.job("erofs_compression none\n"))
    assert compressed.stat().st_size < 100_000 < 900_000 < plain.stat().st_size
    settings = dracut.job("erofs_compression zstd,level=3\n").settings
    assert image.compression_options(settings) == ["-zzstd,level=3", "-C65536"]


def test_mapped_files_get_small_clusters(dracut: Dracut) -> None:
    job = dracut.job()
    made(job)
    hints = [line.split(" ", 1) for line in job.path("hints").read_text().splitlines()]
    assert {size for size, _ in hints} == {"8192"}
    mapped = [
        "usr/lib/x86_64-linux-gnu/libc.so.6",
        "usr/lib64/libz.so",
        *("usr/bin/udevadm", "usr/sbin/init", "bin/sh"),
        *("usr/lib/systemd/systemd-journald", "usr/lib/udev/scsi_id"),
    ]
    read = [
        "usr/lib/modules/6.12/kernel/fs/xfs/xfs.ko",
        "usr/lib/firmware/some.sof",
        *("usr/lib/udev/rules.d/60-block.rules", "usr/lib/systemd/system/initrd.target"),
    ]
    for name in mapped + read:
        assert any(re.search(pattern, name) for _, pattern in hints) == (name in mapped), name
