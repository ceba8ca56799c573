# SPDX-License-Identifier: MIT
"""The benchmark reads consoles, reports, modules and memory samples."""

import pytest

from benchmarks import grow, marks, memory, minimal, steps
from harness import cpio

CONSOLE = """\
[    0.900000] calling  virtio_init+0x0/0x20 @ 1
[    2.390000] Freeing initrd memory: 5708K
[    2.392000] Run /init as init process
[    2.500000] calling  init+0x0/0x30 [virtio_blk] @ 71
[    2.600000] calling  crc32c_mod_init+0x0/0x10 [crc32c_intel] @ 71
[    2.700000] calling  init+0x0/0x30 [virtio_blk] @ 72
[    3.900000] initoverlayfs: exec /init
[    4.100000] systemd[1]: systemd 257.13-1~deb13u1 running in system mode (+PAM)
[    4.200000] calling  fuse_init+0x0/0x10 [fuse] @ 90
"""


def module(name: str, *dependencies: str) -> cpio.Entry:
    depends = b"\0depends=" + ",".join(dependencies).encode() + b"\0"
    return cpio.entry(f"usr/lib/modules/6.12/{name}.ko", b"ELF\0license=GPL" + depends)


def test_marks_of_a_console() -> None:
    found = marks.of_console(CONSOLE)
    assert found == {"run_init": 2.392, "stage2": 3.9, "first_systemd": 4.1}
    metrics = marks.metrics(found, "first_systemd")
    assert metrics == {"run_init": 2.392, "first_systemd": 4.1, "stage1": 1.508}


def test_missing_marks() -> None:
    with pytest.raises(ValueError, match="not reached: root_systemd, multi_user"):
        marks.metrics(marks.of_console(CONSOLE), "multi_user")


def test_marks_of_a_report_of_a_direct_boot() -> None:
    """The root filesystem's systemd is also the first one."""
    report = {"t_run_init": 2.0, "t_stage2_exec": 3.0, "t_first_systemd": 4.0, "t_multi_user": 9.0}
    assert marks.metrics(marks.of_report(report), "multi_user") == {
        "run_init": 2.0,
        "first_systemd": 4.0,
        "root_systemd": 4.0,
        "multi_user": 9.0,
        "stage1": 1.0,
    }


def test_modules_of_stage_1() -> None:
    """Built-in and later modules are excluded; each module is listed once."""
    assert minimal.started(CONSOLE) == ["virtio_blk", "crc32c_intel"]


def test_order_of_modules() -> None:
    """A module follows its dependencies, including libraries, which the console does not name."""
    entries = [module("ext4", "crc16", "jbd2"), module("jbd2"), module("crc16"), module("erofs")]
    found = minimal.modules(entries)
    assert minimal.in_order(["jbd2", "ext4"], found) == ["jbd2", "crc16", "ext4"]


def test_dashes_are_underscores() -> None:
    found = minimal.modules([module("crc32c-intel"), module("nls", "crc32c-intel")])
    assert minimal.dependencies(found["nls"]) == ["crc32c_intel"]


def test_steps_of_stage_1() -> None:
    """Steps are in seconds since /init. Steps that a variant lacks are missing."""
    first = "[    2.050000] Run /init as init process\n"
    lines = (
        "[    2.060000] initoverlayfs: storage-init 0.1.0 on Linux 6.12.0, MicroPython 1.25.0\n",
        "[    2.240000] initoverlayfs: boot filesystem UUID=1f0e is /dev/vda1 (ext4)\n",
        "[    2.300000] initoverlayfs: mount /dev/vda1 on /stage1/boot type ext4 ro\n",
        "[    2.790000] initoverlayfs: image /f.img attached: loop /dev/loop0 erofs\n",
        "[    2.890000] initoverlayfs: mount overlay on /initoverlayfs type overlay lowerdir=/i\n",
        "[    3.170000] initoverlayfs: root switched: MS_MOVE\n",
    )
    found = {"starts": 0.01, "device": 0.19, "attached": 0.74, "overlay": 0.84, "switched": 1.12}
    assert steps.of_console(first + "".join(lines)) == found
    direct = [line.replace("/stage1/boot", "/initoverlayfs") for line in lines]
    del direct[3:5]
    found = {"starts": 0.01, "device": 0.19, "attached": 0.25, "switched": 1.12}
    assert steps.of_console(first + "".join(direct)) == found
    with pytest.raises(ValueError, match="run_init"):
        steps.of_console("".join(lines))


def test_samples() -> None:
    text = "1.000 100 90 5 0\n1.020 100 40 10 8\n1.040 100 60 20 16\n1.06"
    samples = memory.parse(text)
    assert [one.used >> 10 for one in samples] == [5, 50, 20]
    metrics = memory.sampled(samples, {"first_systemd": 1.045})
    start = {"in_use_run_init": 5 << 10, "before": 50 << 10}
    assert metrics == {**start, "in_use": 20 << 10, "read": 16 * 512}
    passed = {"first_systemd": 1.02, "root_systemd": 1.03, "multi_user": 1.04}
    metrics = memory.sampled(samples, passed)
    names = ("root_systemd", "multi_user")
    assert [int(metrics["in_use_" + name]) >> 10 for name in names] == [50, 20]
    assert metrics["read_multi_user"] == 16 * 512


def test_unused_content_is_split_into_files() -> None:
    assert grow.pieces(0) == []
    assert grow.pieces(130, 64) == [64, 64, 2]
