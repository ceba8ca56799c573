# SPDX-License-Identifier: MIT
"""The root filesystem by itself: what stage 1 can mount, and what goes to the image at once."""

import struct
from pathlib import Path
from typing import Callable, Optional

import pytest

from harness import bootdisk
from harness.machine import Drive
from harness.privilege import run
from harness.running import Ending
from harness.tiny import Outcome, Tiny, image

# the first case of a run also builds the guest
pytestmark = pytest.mark.timeout(900)

ROOT_UUID = "1f0e0000-0000-4000-8000-0000000071f0"
ROOT = f"root=UUID={ROOT_UUID}"
DIRECTORIES = ("dev", "proc", "sys", "run")

# Types of the Discoverable Partitions Specification.
X86_64 = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
ARM64 = "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"


def root(tiny: Tiny, directories: "tuple[str, ...]" = DIRECTORIES, init: bytes = b"") -> Path:
    """A root filesystem with these directories, whose /greeting is the greeting or `init`."""
    greeting = tiny.directory / "greeting"
    greeting.write_bytes(init or (tiny.image.parent / "greeting").read_bytes())
    greeting.chmod(0o755)
    empty = tiny.directory / "empty"
    empty.touch()
    files = {f"{name}/empty": empty for name in directories}
    return tiny.disk(uuid=ROOT_UUID, files={"greeting": greeting, **files})


def boot(tiny: Tiny, words: str, second: Optional[Path] = None, more: str = "") -> Outcome:
    """Boot the tiny machine, its image on the first disk, to the greeting."""
    drives = [Drive(tiny.disk())] + ([Drive(second)] if second else [])
    outcome = tiny.boot(tiny.configured(more=more), drives, words)
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    return outcome


def why_not(outcome: Outcome) -> str:
    """The image booted after all: the one line that says why the root filesystem did not."""
    assert outcome.boot["attempt"] == "image"
    (line,) = [line for line in outcome.lines if line.startswith("direct: ")]
    return line.partition(" ")[2]


@pytest.mark.parametrize(("words", "attempt"), [("ro", "image"), ("rw", "direct")])
def test_root_and_image_on_one_xfs(tiny: Tiny, words: str, attempt: str) -> None:
    """Mounted read-only for the image, it could not be mounted read-write as the root."""
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
def test_words_that_ask_for_stage_2(tiny: Tiny, word: str) -> None:
    """`boot direct`, and a word for a service of the initrd: the image boots without a wait."""
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
def test_what_stage_1_cannot_mount(tiny: Tiny, make: Callable[[Path], None], said: str) -> None:
    """The root's device holds something else: the image boots, and a line says what is there."""
    path = tiny.directory / "root"
    make(path)
    outcome = boot(tiny, f"rd.initoverlayfs=direct root={tiny.device(1)}", path)
    assert why_not(outcome).endswith(said.replace("DISK", tiny.device(1)))


@pytest.mark.platforms("uml", "qemu")
def test_straight_to_direct(tiny: Tiny) -> None:
    """rd.initoverlayfs=0: the root filesystem boots, after rootdelay, read-only as ever."""
    words = f"rd.initoverlayfs=0 rootdelay=2 rootwait {ROOT} ro init=/greeting"
    outcome = boot(tiny, words, root(tiny))
    assert (outcome.boot["attempt"], outcome.boot["device"]) == ("direct", tiny.device(1))
    assert "rootdelay: 2 s" in outcome.lines
    assert outcome.greeting["writable"] == ["Read-only file system"]


def test_rootwait(tiny: Tiny) -> None:
    """A root that never appears costs what rootwait and rootdelay say; the bound is stated."""
    outcome = boot(tiny, "rd.initoverlayfs=direct rootdelay=1 rootwait=2 root=LABEL=nowhere")
    assert why_not(outcome).startswith("wait for LABEL=nowhere: timed out after 2 s; seen: ")
    assert outcome.lines[1] == (
        "attempts: direct, image, previous, then reboot; they wait at most 53 s in all"
    )


@pytest.mark.platforms("uml", "qemu")
@pytest.mark.parametrize(("word", "attributes"), [("", ""), ("root=gpt-auto", ", attrs=GUID:60")])
def test_discovered(tiny: Tiny, word: str, attributes: str) -> None:
    """No root=, or root=gpt-auto: the root partition beside the boot filesystem boots.

    Read-only where its table says so, whatever the kernel command line says.
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
def test_not_discovered(tiny: Tiny, about: str, disks: int, said: str) -> None:
    """What the table does not offer is not guessed: the image boots."""
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


def test_no_partition_to_search_beside(tiny: Tiny) -> None:
    """The boot filesystem is a whole disk: no other disk is searched."""
    outcome = boot(tiny, "rd.initoverlayfs=direct")
    assert why_not(outcome) == (
        f"boot filesystem {tiny.device(0)} is no partition, so no disk is searched: set root="
    )


def test_a_switch_of_root_that_fails_half_way(tiny: Tiny) -> None:
    """The root filesystem, read-only, has no /sys to move to: what was moved comes back."""
    words = f"rd.initoverlayfs=direct {ROOT} ro init=/greeting"
    outcome = boot(tiny, words, root(tiny, ("dev", "proc")))
    assert why_not(outcome) == "make directory /initoverlayfs/sys: Read-only file system"
    assert "root switched: MS_MOVE" in outcome.lines


@pytest.mark.parametrize("kind", ["is empty", "is for arm64"])
def test_an_init_that_cannot_run(tiny: Tiny, kind: str) -> None:
    """The image's init is an empty file, or for another machine: the image before it boots."""
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
def test_beyond_the_point_of_no_return(tiny: Tiny, how: str, ending: Optional[Ending]) -> None:
    """The new root's init cannot be executed after all: the machine ends as stated, no panic."""
    words = f"rd.initoverlayfs=direct {ROOT} rw init=/greeting rd.emergency={how}"
    second = root(tiny, init=b"#!/nowhere\n")
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk()), Drive(second)], words)
    assert outcome.ending is (ending or Ending.POWEROFF) and not outcome.greeted, outcome.console
    assert outcome.lines[-3:] == [
        "exec /greeting",
        "direct: exec /greeting: No such file or directory",
        f"no way to boot left: {how} in 10 s",
    ]
