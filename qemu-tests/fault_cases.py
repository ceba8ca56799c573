# SPDX-License-Identifier: MIT
"""Define the faults that docs/faults.md lists, each with its promised outcome."""

import random
import time
from pathlib import Path
from typing import Callable, Optional

from harness import bootdisk
from harness.faults import DIRECT, IMAGE, NO_KERNEL, PREVIOUS, STOPS, Fault, Machine
from harness.machine import Drive
from harness.running import Running
from harness.tiny import image

_BLOCK = 4096
_SUPERBLOCK = 1024


def _cut(percent: int) -> Callable[[Machine], object]:
    def happens(machine: Machine) -> None:
        size = machine.image.stat().st_size
        machine.altered(lambda content: content.__delitem__(slice(size * percent // 100, None)))

    return happens


def _flip(content: bytearray, at: int) -> None:
    content[at] ^= 0x10


def _flip_in_init(machine: Machine) -> None:
    """Flip a bit in the middle of the program that stage 2 runs as its init."""
    program = machine.tiny.greeting.read_bytes()
    middle = program[len(program) // 2 :][:64]
    machine.altered(lambda content: _flip(content, content.index(middle)))


def _flip_in_hash_tree(machine: Machine) -> None:
    """Flip a bit in the top block of the hash tree, which follows the superblock of the tree."""
    size = machine.tiny.image.stat().st_size
    machine.altered(lambda content: _flip(content, size + _BLOCK + 5))


def _of_another_kernel(machine: Machine) -> None:
    built = image(
        machine.tiny.directory / "kernel.img",
        machine.tiny.greeting,
        files={"usr/lib/modules/6.0.0/modules.dep": b""},
    )
    machine.mini = machine.tiny.identified(built, more="emergency poweroff\n")
    machine.image = built


def _swapped(machine: Machine) -> None:
    name = machine.tiny.name
    files = machine.files
    files[name], files[name + ".previous"] = files[name + ".previous"], files[name]


def _unknown_compression(machine: Machine) -> None:
    """Add a compressor that the kernel does not know to the superblock's list.

    Offsets: struct erofs_super_block in the kernel's fs/erofs/erofs_fs.h. Clears the feature bit of
    the checksum, so that the kernel does not refuse the image for a wrong checksum.
    """

    def change(content: bytearray) -> None:
        content[_SUPERBLOCK + 8] &= 0xFE  # feature_compat: no checksum
        content[_SUPERBLOCK + 80] |= 0x02  # feature_incompat: available_compr_algs counts
        content[_SUPERBLOCK + 84 : _SUPERBLOCK + 86] = b"\x00\x80"

    machine.altered(change)


def _without(*modules: str) -> Callable[[Machine], object]:
    def happens(machine: Machine) -> None:
        for module in modules:
            machine.mini = machine.mini.without(module + ".ko")

    return happens


def _both_images_gone(machine: Machine) -> None:
    machine.files.clear()


def _nothing_left(machine: Machine) -> None:
    machine.files.clear()
    machine.disks.clear()


def _boot_disk_absent(machine: Machine) -> None:
    machine.drive = lambda path: None


def _boot_disk_late(machine: Machine) -> None:
    def plug(vm: Running) -> None:
        vm.wait_console("initoverlayfs: ")
        time.sleep(5)
        vm.plug(0)

    machine.drive = lambda path: Drive(path, plugged=False)
    machine.meanwhile = plug
    machine.words += " rd.initoverlayfs.timeout=30"


def _boot_disk_gone(machine: Machine) -> None:
    """Unplug the boot disk at the rescue prompt, which opens after the disk is mounted."""

    def pull(vm: Running) -> None:
        vm.wait_console(">>> ")
        vm.pull("disk0")
        vm.type("go()\r")

    machine.drive = lambda path: Drive(path, name="disk0")
    machine.words += " rd.initoverlayfs.break=image"
    machine.keyboard = True
    machine.meanwhile = pull


def _unreadable(machine: Machine) -> None:
    """Make all reads of the image's first two blocks fail with an I/O error."""

    def drive(path: Path) -> Optional[Drive]:
        sector = path.read_bytes().index(machine.image.read_bytes()[: 2 * _BLOCK]) // 512
        rules = machine.tiny.directory / "blkdebug"
        rules.write_text(
            "".join(
                f'[inject-error]\nevent = "read_aio"\nerrno = "5"\nsector = "{sector + number}"\n'
                for number in range(2 * _BLOCK // 512)
            )
        )
        return Drive(path, filter=f"blkdebug:{rules}:")

    machine.drive = drive


def _same_uuid(machine: Machine) -> None:
    machine.disks.append(Drive(machine.tiny.disk(files=dict(machine.files))))


def _boot_full(machine: Machine) -> None:
    def drive(path: Path) -> Optional[Drive]:
        bootdisk.fill(path)
        return Drive(path)

    machine.drive = drive


def _words(*words: str) -> Callable[[Machine], object]:
    def happens(machine: Machine) -> None:
        machine.words = " ".join((machine.words, *words))

    return happens


def _hostile_words(machine: Machine) -> None:
    """Add settings with invalid values, random characters and an unterminated quote."""
    noise = random.Random(1)
    junk = "".join(chr(noise.randrange(33, 127)) for _ in range(600)).replace("--", "__")
    machine.words += (
        " rd.initoverlayfs.timeout=-1 rd.initoverlayfs.fs=../../x rd.initoverlayfs.overlay="
        f" rd.initoverlayfs.nonsense=%s%n rd.initoverlayfs=maybe rd.emergency={junk}"
        ' rd.initoverlayfs.bootfstype="; reboot" rd.initoverlayfs.bootflags="'
    )


def _garbage_configuration(machine: Machine) -> None:
    garbage = bytes((number * 167 + number // 256) % 256 for number in range(4096))
    machine.mini = machine.mini.with_files({"etc/initoverlayfs.conf": garbage})


def _memory(mebibytes: int) -> Callable[[Machine], object]:
    def happens(machine: Machine) -> None:
        machine.memory = mebibytes

    return happens


def _no_console(machine: Machine) -> None:
    machine.console = False


def _bound_to_nonsense(machine: Machine) -> None:
    machine.mini = machine.mini.with_files({"usr/lib/initoverlayfs/image": b"uuid nonsense\n"})


_CUT = "image: image /initoverlayfs.* is cut off"
_EIO = "image: .*I/O error"

_BOTH = ("uml", "qemu")
_QEMU = ("qemu",)

FAULTS = (
    Fault("none", IMAGE, lambda machine: None, platforms=_BOTH),
    Fault("none, image verified", IMAGE, lambda machine: None, verified=True),
    Fault("image missing", PREVIOUS, lambda m: m.files.pop(m.tiny.name), "No such file"),
    Fault("image empty", PREVIOUS, _cut(0), "is no filesystem that is known here"),
    Fault("image truncated at 1 %", PREVIOUS, _cut(1), "^image: this mini-initramfs belongs to"),
    Fault("image truncated at 50 %", PREVIOUS, _cut(50), _CUT, platforms=_BOTH),
    Fault("image truncated at 99 %", PREVIOUS, _cut(99), _CUT),
    Fault(
        "a bit flipped in the superblock",
        PREVIOUS,
        lambda m: m.altered(lambda content: _flip(content, _SUPERBLOCK + 64)),
        "^image: ",
    ),
    Fault(
        "a bit flipped in the superblock, verified",
        PREVIOUS,
        lambda m: m.altered(lambda content: _flip(content, _SUPERBLOCK + 64)),
        _EIO,
        verified=True,
    ),
    Fault(
        "a bit flipped in the data, verified",
        PREVIOUS,
        _flip_in_init,
        _EIO,
        verified=True,
        platforms=_BOTH,
    ),
    Fault(
        "a bit flipped in the hash tree, verified",
        PREVIOUS,
        _flip_in_hash_tree,
        _EIO,
        verified=True,
    ),
    Fault("image of another kernel version", PREVIOUS, _of_another_kernel, "no modules for Linux"),
    Fault("the two images swapped", IMAGE, _swapped),
    Fault("unknown compression", PREVIOUS, _unknown_compression, "^image: mount "),
    Fault("malformed binding", DIRECT, _bound_to_nonsense, "malformed binding"),
    Fault(
        "EROFS module missing", DIRECT, _without("erofs"), "erofs.ko: No such file", platforms=_BOTH
    ),
    Fault("overlay module missing", DIRECT, _without("overlay"), "overlay.ko: No such file"),
    # Without loop devices, no boot filesystem is mounted.
    Fault(
        "loop module missing, verified",
        DIRECT,
        _without("loop"),
        "^image: ",
        verified=True,
        platforms=_QEMU,
    ),
    Fault(
        "dm-verity module missing, verified",
        PREVIOUS,
        _without("dm-verity"),
        "^image: ",
        verified=True,
        platforms=_BOTH,
    ),
    Fault("both images missing", DIRECT, _both_images_gone, "^previous: "),
    Fault(
        "both images and the root filesystem missing",
        STOPS,
        _nothing_left,
        "^direct: ",
        30,
        platforms=_BOTH,
    ),
    Fault("boot device absent", DIRECT, _boot_disk_absent, "timed out after 5 s", 15),
    Fault("boot device late by 5 s", IMAGE, _boot_disk_late, "", 30, platforms=_QEMU),
    Fault(
        "boot device gone after the mount", DIRECT, _boot_disk_gone, "^image: ", 60, platforms=_QEMU
    ),
    Fault("read errors in the image", PREVIOUS, _unreadable, "^image: ", platforms=_QEMU),
    Fault("two filesystems with the same UUID", IMAGE, _same_uuid, "matches both"),
    Fault("boot filesystem full", IMAGE, _boot_full),
    Fault(
        "tmpfs full in stage 2",
        IMAGE,
        _words("rd.initoverlayfs.overlay=size=8k"),
        sees=("filled", "No space left on device"),
    ),
    Fault("64 MiB of memory, too little for this kernel", NO_KERNEL, _memory(64), platforms=_QEMU),
    Fault("128 MiB of memory", IMAGE, _memory(128), platforms=_QEMU),
    Fault("corrupt configuration", DIRECT, _garbage_configuration, "no boot filesystem is conf"),
    Fault("hostile kernel command line", IMAGE, _hostile_words, "ignored"),
    Fault("console missing", IMAGE, _no_console, platforms=_QEMU),
)
