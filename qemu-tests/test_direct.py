# SPDX-License-Identifier: MIT
"""Stage 1 boots the root filesystem directly, or falls back to the image if it cannot."""

import struct
from pathlib import Path
from typing import Callable, Optional

import pytest

from harness import bootdisk
from harness.machine import Drive
from harness.privilege import run
from harness.running import Ending
from harness.tiny import Outcome, Tiny, image

# The first test of a run also builds the guest.
pytestmark = pytest.mark.timeout(900)

ROOT_UUID = "1f0e0000-0000-4000-8000-0000000071f0"
ROOT = f"root=UUID={ROOT_UUID}"
DIRECTORIES = ("dev", "proc", "sys", "run")

# Types of the Discoverable Partitions Specification.
X86_64 = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
ARM64 = "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"


def root(tiny: Tiny, directories: "tuple[str, ...]" = DIRECTORIES, init: bytes = b"") -> Path:
    """Make a disk with a root filesystem; /greeting is `init`, or the greeting if it is empty."""
    greeting = tiny.directory / "greeting"
    greeting.write_bytes(init or (tiny.image.parent / "greeting").read_bytes())
    greeting.chmod(0o755)
    empty = tiny.directory / "empty"
    empty.touch()
    files = {f"{name}/empty": empty for name in directories}
    return tiny.disk(uuid=ROOT_UUID, files={"greeting": greeting, **files})


def boot(tiny: Tiny, words: str, second: Optional[Path] = None, more: str = "") -> Outcome:
    """Boot with the image on the first disk, and assert that the greeting ran."""
    drives = [Drive(tiny.disk())] + ([Drive(second)] if second else [])
    outcome = tiny.boot(tiny.configured(more=more), drives, words)
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    return outcome


def why_not(outcome: Outcome) -> str:
    """Return the reason why the root filesystem did not boot. Assert that the image did."""
    assert outcome.boot["attempt"] == "image"
    (line,) = [line for line in outcome.lines if line.startswith("direct: ")]
    return line.partition(" ")[2]


@pytest.mark.parametrize(
    ("words", "attempt"),
    [
        ("ro", "image"),
        ("rw", "image"),
        ("rw rd.initoverlayfs.bootfs_mount=always", "direct"),
    ],
)
def test_root_and_image_on_one_xfs(tiny: Tiny, words: str, attempt: str) -> None:
    """If one XFS holds the root and the image, the image boots with `ro` and with `rw`.

    While stage 1 keeps the XFS mounted, it cannot be mounted read-write: the root boots directly.
    """
    empty = tiny.directory / "empty"
    empty.touch()
    greeting = tiny.image.parent / "greeting"
    files = {tiny.name: tiny.image, "greeting": greeting}
    disk = tiny.disk("xfs", files={**files, **{f"{name}/empty": empty for name in DIRECTORIES}})
    reference = f"UUID={bootdisk.UUIDS['xfs']}"
    mini = tiny.configured("xfs")
    outcome = tiny.boot(mini, [Drive(disk)], f"root={reference} init=/greeting {words}")
    assert outcome.greeted and outcome.boot["attempt"] == attempt, outcome.console


@pytest.mark.parametrize(
    "word",
    [
        "rd.luks.uuid=x",
        "rd.lvm.lv=vg/root",
        "rd.md.uuid=x",
        "resume=/dev/vdc",
        "ostree=/ostree/boot.1/x",
        "roothash=00",
        "usrhash=00",
        "mount.usr=/dev/vdc",
    ],
    ids=lambda word: word.partition("=")[0],
)
def test_words_that_require_stage_2_boot_the_image(tiny: Tiny, word: str) -> None:
    """If a word requires a service of stage 2, `boot direct` boots the image without a wait."""
    outcome = boot(tiny, f"root=LABEL=nowhere {word}", more="boot direct\n")
    said = why_not(outcome)
    assert said == word.partition("=")[0] + " on the kernel command line requires stage 2"


def luks(path: Path) -> None:
    path.write_bytes(bytes(32 << 20))
    cheap = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "-d", "/etc/hostname"]
    run(["cryptsetup", "luksFormat", "-q", "--type", "luks2", *cheap, str(path)])


def put(*parts: "tuple[int, bytes]") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        content = bytearray(8 << 20)
        for at, part in parts:
            content[at : at + len(part)] = part
        path.write_bytes(content)

    return write


LVM = put((512, b"LABELONE" + bytes(16) + b"LVM2 001"))
MD = put((4096, b"\xfc\x4e\x2b\xa9\1\0\0\0" + bytes(136) + struct.pack("<Q", 8)))
F2FS = put((1024, b"\x10\x20\xf5\xf2\1\0\x0e\0"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (luks, "DISK holds crypto_LUKS, no filesystem: that takes stage 2"),
        (LVM, "DISK holds LVM2_member, no filesystem: that takes stage 2"),
        (MD, "DISK holds linux_raid_member, no filesystem: that takes stage 2"),
        (put(), "DISK holds no filesystem that is known here: set its type"),
        (F2FS, "No such device: there is no driver here for f2fs"),
    ],
    ids=["luks", "lvm", "md", "unknown", "no module"],
)
def test_unmountable_root_falls_back(tiny: Tiny, make: Callable[[Path], None], said: str) -> None:
    """If stage 1 cannot mount the root, the image boots, and a line names the device's content."""
    path = tiny.directory / "root"
    make(path)
    outcome = boot(tiny, f"rd.initoverlayfs=direct root={tiny.device(1)}", path)
    assert why_not(outcome).endswith(said.replace("DISK", tiny.device(1)))


@pytest.mark.platforms("uml", "qemu")
def test_rd_initoverlayfs_0_boots_directly(tiny: Tiny) -> None:
    """With rd.initoverlayfs=0, the root filesystem boots after rootdelay, read-only with `ro`."""
    words = f"rd.initoverlayfs=0 rootdelay=2 rootwait {ROOT} ro init=/greeting"
    outcome = boot(tiny, words, root(tiny))
    assert (outcome.boot["attempt"], outcome.boot["device"]) == ("direct", tiny.device(1))
    assert "rootdelay: 2 s" in outcome.lines
    assert outcome.greeting["writable"] == ["Read-only file system"]


def test_rootwait_limits_the_wait(tiny: Tiny) -> None:
    """If the root never appears, the wait ends after rootwait seconds.

    The log states the longest wait of all attempts, rootdelay included.
    """
    outcome = boot(tiny, "rd.initoverlayfs=direct rootdelay=1 rootwait=2 root=LABEL=nowhere")
    assert why_not(outcome).startswith("wait for LABEL=nowhere: timed out after 2 s; seen: ")
    assert outcome.lines[1] == (
        "attempts: direct, image, previous, then reboot; they wait at most 53 s in all"
    )


@pytest.mark.platforms("uml", "qemu")
@pytest.mark.parametrize(("word", "attributes"), [("", ""), ("root=gpt-auto", ", attrs=GUID:60")])
def test_root_partition_is_discovered(tiny: Tiny, word: str, attributes: str) -> None:
    """Without root= or with root=gpt-auto, the root partition on the boot disk boots.

    If the GPT marks the partition read-only, it is mounted read-only despite `rw`.
    """
    path = tiny.directory / "disk"
    bootdisk.two_partitions(path, tiny.disk(), root(tiny), f"type={X86_64}{attributes}")
    words = f"rd.initoverlayfs=direct rw init=/greeting {word}"
    outcome = tiny.boot(tiny.configured(), [Drive(path)], words)
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert (outcome.boot["attempt"], outcome.boot["device"]) == ("direct", tiny.device(0) + "2")
    assert outcome.greeting["writable"] == ["Read-only file system" if attributes else "yes"]


@pytest.mark.parametrize(
    ("about", "disks", "said"),
    [
        (f"type={ARM64}", 1, "no root-x86-64 partition on DISK: set root="),
        (
            f"type={X86_64}, attrs=GUID:63",
            1,
            "the root-x86-64 partition of DISK is marked no-auto: set root=",
        ),
        (f"type={X86_64}", 2, "names two devices, so which disk holds the root is not known"),
    ],
    ids=["another architecture", "no-auto", "two disks"],
)
def test_root_partition_is_not_guessed(tiny: Tiny, about: str, disks: int, said: str) -> None:
    """If the boot disk has no suitable root partition, or is ambiguous, the image boots."""
    path = tiny.directory / "disk"
    bootdisk.two_partitions(path, tiny.disk(), root(tiny), about)
    drives = [Drive(path)]
    if disks == 2:
        copy = tiny.directory / "copy"
        run(["cp", "--sparse=always", str(path), str(copy)])
        drives.append(Drive(copy))
    outcome = tiny.boot(tiny.configured(), drives, "rd.initoverlayfs=direct init=/greeting")
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert said.replace("DISK", tiny.device(0)) in why_not(outcome)


def test_unpartitioned_boot_disk_is_not_searched(tiny: Tiny) -> None:
    """If the boot filesystem is a whole disk, no disk is searched for a root partition."""
    outcome = boot(tiny, "rd.initoverlayfs=direct")
    assert why_not(outcome) == (
        f"boot filesystem {tiny.device(0)} is no partition, so no disk is searched: set root="
    )


def test_failed_root_switch_is_undone(tiny: Tiny) -> None:
    """If the root switch fails after some mounts were moved, they move back, and the image boots.

    Here the root filesystem lacks /sys and is mounted read-only.
    """
    words = f"rd.initoverlayfs=direct {ROOT} ro init=/greeting"
    outcome = boot(tiny, words, root(tiny, ("dev", "proc")))
    assert why_not(outcome) == "make directory /initoverlayfs/sys: Read-only file system"
    assert "root switched: MS_MOVE" in outcome.lines


@pytest.mark.parametrize("kind", ["is empty", "is for arm64"])
def test_image_with_an_invalid_init_falls_back(tiny: Tiny, kind: str) -> None:
    """If the image's init is empty or for another architecture, the previous image boots."""
    init = tiny.directory / "bad"
    content = bytearray((tiny.image.parent / "greeting").read_bytes())
    content[18:20] = struct.pack("<H", 183)
    init.write_bytes(b"" if kind == "is empty" else content)
    bad = image(tiny.directory / "bad.img", init)
    files = {tiny.name: bad, tiny.name + ".previous": tiny.image}
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk(files=files))])
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["attempt"] == "previous"
    (line,) = [line for line in outcome.lines if line.startswith("image: ")]
    assert line.endswith("; /init " + kind)


@pytest.mark.parametrize(("how", "ending"), [("reboot", Ending.RESET), ("poweroff", None)])
def test_failed_exec_after_root_switch(tiny: Tiny, how: str, ending: Optional[Ending]) -> None:
    """If the new root's init cannot be executed, the emergency action follows, not a panic."""
    words = f"rd.initoverlayfs=direct {ROOT} rw init=/greeting rd.emergency={how}"
    second = root(tiny, init=b"#!/nowhere\n")
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk()), Drive(second)], words)
    assert outcome.ending is (ending or Ending.POWEROFF) and not outcome.greeted, outcome.console
    assert outcome.lines[-3:] == [
        "exec /greeting",
        "direct: exec /greeting: No such file or directory",
        f"no way to boot left: {how} in 10 s",
    ]
