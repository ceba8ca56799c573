# SPDX-License-Identifier: MIT
"""Boots of the real mini-initramfs into a stage 2 that says what it sees."""

import re
import time
from pathlib import Path

import pytest

from harness import bootdisk
from harness.machine import Drive
from harness.privilege import run
from harness.running import Ending, Running
from harness.tiny import OVERLAYFS, Outcome, Tiny

# the first case of a run also builds the guest
pytestmark = pytest.mark.timeout(900)


def assert_booted(outcome: Outcome) -> None:
    """Stage 2's init ran as PID 1 on a writable overlay, and powered off."""
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.greeting["pid"] == ["1"]
    assert outcome.greeting["root"] == [OVERLAYFS]
    assert outcome.greeting["writable"] == ["yes"]
    assert outcome.greeting["descriptors"] == ["3"], "0 to 2 are open, and nothing else"
    assert outcome.boot["attempt"] == "image"


@pytest.mark.platforms("uml", "qemu")
def test_plain(tiny: Tiny) -> None:
    """An ext4 boot disk: stage 2 finds its mounts, and none of stage 1's."""
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk())])
    assert_booted(outcome)
    assert outcome.mounts == ["/", "/dev", "/proc", "/run", "/sys"]
    assert (outcome.boot["mode"], outcome.boot["fstype"]) == ("init", "ext4")
    assert outcome.boot["device"] == tiny.device(0)
    assert outcome.boot["image"] == "/" + tiny.name
    assert outcome.lines[-1] == "exec /init"
    modules = {line.split()[0] for line in outcome.greeting["module"]}
    assert "loop" in modules and "ext4" not in modules, "the image was found without its driver"


@pytest.mark.platforms("uml", "qemu")
def test_a_journal_to_replay(tiny: Tiny, platform: str) -> None:
    """The boot filesystem was not unmounted cleanly: it is mounted, and the image found there."""
    disk = tiny.disk()
    run(["debugfs", "-w", "-R", "feature needs_recovery", str(disk)])
    outcome = tiny.boot(tiny.configured(), [Drive(disk)], "rd.debug loglevel=8")
    assert_booted(outcome)
    assert any("has to be mounted: not unmounted cleanly" in line for line in outcome.lines)
    assert any(
        line.startswith(f"mount {tiny.device(0)} on /stage1/boot ") for line in outcome.lines
    )
    modules = {line.split()[0] for line in outcome.greeting["module"]}
    assert "ext4" in modules or platform == "uml", "user-mode Linux has it built in"


@pytest.mark.platforms("uml", "qemu")
@pytest.mark.parametrize("kind", ["vfat", "xfs", "btrfs"])
def test_boot_filesystem(tiny: Tiny, kind: str) -> None:
    """The boot filesystem is another one than ext4; its type is not configured."""
    outcome = tiny.boot(tiny.configured(kind), [Drive(tiny.disk(kind))])
    assert_booted(outcome)
    assert outcome.boot["fstype"] == kind


def test_image_straight_on_a_disk(tiny: Tiny) -> None:
    """The disk is the EROFS image: no boot filesystem, no loop device, no driver for either."""
    mini = tiny.mini.configured("bootfs UUID=1f0e0000-0000-4000-8000-0000000071e5\nfs -\n")
    outcome = tiny.boot(mini, [Drive(tiny.image)])
    assert_booted(outcome)
    assert (outcome.boot["image"], outcome.boot["attach"]) == ("-", "device")
    modules = {line.split()[0] for line in outcome.greeting["module"]}
    assert "erofs" in modules and not modules & {"ext4", "loop"}


def test_second_of_two_disks(tiny: Tiny) -> None:
    """Two disks with an image of the right name; only the second has the right UUID."""
    first = tiny.disk(uuid="1f0e0000-0000-4000-8000-00000000dead")
    outcome = tiny.boot(tiny.configured(), [Drive(first), Drive(tiny.disk())])
    assert_booted(outcome)
    assert outcome.boot["device"] == tiny.device(1)


@pytest.mark.platforms("qemu")
def test_one_processor(tiny: Tiny) -> None:
    """One CPU: nothing is loaded side by side."""
    assert_booted(tiny.boot(tiny.configured(), [Drive(tiny.disk())], smp=1))


# kind -> QEMU's name of the disk, the controller where the machine has none, the device's name
CONTROLLERS = {
    "virtio-scsi": ("scsi-hd", ("-device", "virtio-scsi-pci"), "/dev/sda"),
    "AHCI": ("ide-hd", (), "/dev/sda"),
    "NVMe": ("nvme", (), "/dev/nvme0n1"),
    "USB storage": ("usb-storage", ("-device", "qemu-xhci"), "/dev/sda"),
    "UAS": ("scsi-hd", ("-device", "qemu-xhci", "-device", "usb-uas"), "/dev/sda"),
    "SDHCI": ("sd-card", ("-device", "sdhci-pci"), "/dev/mmcblk0"),
}


@pytest.mark.platforms("qemu")
@pytest.mark.parametrize("kind", CONTROLLERS)
def test_controller(tiny: Tiny, kind: str) -> None:
    """The same image boots from a disk on any controller: drivers come by modaliases."""
    interface, extra, device = CONTROLLERS[kind]
    path = tiny.disk()
    if kind == "SDHCI":
        with path.open("r+b") as file:  # QEMU's cards have a power of two
            file.truncate(64 << 20)
    drive = Drive(path, interface=interface)
    outcome = tiny.boot(tiny.configured(), [drive], extra=extra)
    assert_booted(outcome)
    assert outcome.boot["device"] == device


@pytest.mark.platforms("qemu")
def test_disk_appears_late(tiny: Tiny) -> None:
    """The disk is plugged in 3 s after storage-init started, and found by its uevent."""

    def plug(vm: Running) -> None:
        vm.wait_console("initoverlayfs: ")
        time.sleep(3)
        vm.plug(0)

    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk(), plugged=False)], meanwhile=plug)
    assert_booted(outcome)
    first, last = (_seconds(outcome, text) for text in ("storage-init ", "exec /init"))
    assert 2.5 < last - first < 15


def test_arguments_and_environment(tiny: Tiny) -> None:
    """Words for init reach stage 2's, with and without `--`; what steers interpreters does not."""
    words = 'single KEY=value MICROPYPATH=/x MICROPYINSPECT=1 PYTHONPATH=/x -- --first "two words"'
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk())], words)
    assert_booted(outcome)
    assert outcome.greeting["argument"] == ["/init", "single", "--first", "two words"]
    names = [word.partition("=")[0] for word in outcome.greeting["environment"]]
    assert "KEY=value" in outcome.greeting["environment"]
    assert not [name for name in names if "PY" in name]


def test_closed_descriptors(tiny: Tiny, tmp_path: Path) -> None:
    """Descriptors 0 to 2 are closed when storage-init starts; stage 2 has them open."""
    mini = tiny.configured().with_closed_descriptors(tmp_path)
    assert_booted(tiny.boot(mini, [Drive(tiny.disk())]))


def test_configuration_on_the_command_line(tiny: Tiny) -> None:
    """No configuration file; the command line says what is needed."""
    words = f"rd.initoverlayfs.bootfs=UUID={bootdisk.UUIDS['ext4']}"
    outcome = tiny.boot(tiny.mini.configured(None), [Drive(tiny.disk())], words)
    assert_booted(outcome)


def test_wrong_settings(tiny: Tiny) -> None:
    """What is unknown, malformed or empty gets one line with its place, and the boot goes on."""
    mini = tiny.configured(more="nonsense 1\ntimeout soon\noverlay\n")
    words = ("nope=1", "timeout=-1", "bootfs_hint=")
    outcome = tiny.boot(
        mini, [Drive(tiny.disk())], " ".join("rd.initoverlayfs." + word for word in words)
    )
    assert_booted(outcome)
    seconds = "timeout ignored: expected whole seconds, 1 to 86400; using 30"
    expected = [
        "/etc/initoverlayfs.conf:2: unknown key 'nonsense' ignored",
        f"/etc/initoverlayfs.conf:3: {seconds}",
        "/etc/initoverlayfs.conf:4: overlay ignored: it is empty; using 'size=50%'",
        "kernel command line: unknown word 'rd.initoverlayfs.nope' ignored",
        f"kernel command line: rd.initoverlayfs.timeout: {seconds}",
        "kernel command line: rd.initoverlayfs.bootfs_hint: bootfs_hint ignored: it is empty;"
        " using none",
    ]
    assert [line for line in outcome.lines if "ignored" in line] == expected


def test_debug(tiny: Tiny) -> None:
    """rd.debug logs the steps; every line has the prefix, and none is lost to rate limiting."""
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk())], "rd.debug")
    assert_booted(outcome)
    assert "callbacks suppressed" not in outcome.console


@pytest.mark.platforms("qemu")
def test_no_time_is_lost(tiny: Tiny) -> None:
    """From the kernel's announcement of the disk until its image is attached pass less than 50 ms.

    In virtual time. storage-init waits for it, with another disk's driver and what the image takes
    loaded.
    """
    other = tiny.disk(uuid="1f0e0000-0000-4000-8000-00000000dead")

    def plug(vm: Running) -> None:
        vm.wait_console("initoverlayfs: seen /dev/vda ")
        vm.wait_quiet(3)  # whatever it loads is loaded
        vm.plug(1)

    outcome = tiny.boot(
        tiny.configured(more="bootfstype ext4\n"),
        [Drive(other), Drive(tiny.disk(), plugged=False)],
        "rd.debug loglevel=8",
        meanwhile=plug,
        icount=True,
    )
    assert_booted(outcome)
    announced = re.search(r"\[ *([0-9.]+)\] virtio_blk virtio\d+: \[vdb\] ", outcome.console)
    assert announced, outcome.console
    took = _seconds(outcome, "image ") - float(announced.group(1))
    print(f"{took * 1000:.1f} ms")
    assert 0 < took < 0.05


def _seconds(outcome: Outcome, text: str) -> float:
    match = re.search(rf"\[\s*([0-9.]+)\].*initoverlayfs: {re.escape(text)}", outcome.console)
    assert match, f"{text!r} is not in the log:\n{outcome.console}"
    return float(match.group(1))
