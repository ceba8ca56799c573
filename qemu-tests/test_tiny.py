# SPDX-License-Identifier: MIT
"""The real mini-initramfs boots a stage 2 that reports the state of the system."""

import re
import time
from pathlib import Path

import pytest

from harness import bootdisk
from harness.machine import Drive
from harness.privilege import run
from harness.running import Ending, Running
from harness.tiny import OVERLAYFS, Outcome, Tiny

# The first test of a run also builds the guest.
pytestmark = pytest.mark.timeout(900)


def assert_booted(outcome: Outcome) -> None:
    """Assert that stage 2's init ran as PID 1 on a writable overlay, and powered off."""
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.greeting["pid"] == ["1"]
    assert outcome.greeting["root"] == [OVERLAYFS]
    assert outcome.greeting["writable"] == ["yes"]
    assert outcome.greeting["descriptors"] == ["3"], "not only descriptors 0 to 2 are open"
    assert outcome.boot["attempt"] == "image"


@pytest.mark.platforms("uml", "qemu")
def test_boot_from_ext4(tiny: Tiny) -> None:
    """From an ext4 boot disk, stage 2 starts with its own mounts and none of stage 1's."""
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk())])
    assert_booted(outcome)
    assert outcome.mounts == ["/", "/dev", "/proc", "/run", "/sys"]
    assert (outcome.boot["mode"], outcome.boot["fstype"]) == ("init", "ext4")
    assert outcome.boot["device"] == tiny.device(0)
    assert outcome.boot["image"] == "/" + tiny.name
    assert outcome.lines[-1] == "exec /init"
    modules = {line.split()[0] for line in outcome.greeting["module"]}
    assert "loop" in modules and "ext4" not in modules, "the ext4 driver is loaded, or loop is not"


@pytest.mark.platforms("uml", "qemu")
def test_dirty_journal_is_replayed_in_memory(tiny: Tiny, platform: str) -> None:
    """If the boot filesystem has a dirty journal, storage-init replays it, and the image boots."""
    disk = tiny.disk()
    run(["debugfs", "-w", "-R", "feature needs_recovery", str(disk)])
    outcome = tiny.boot(tiny.configured(), [Drive(disk)], "rd.debug loglevel=8")
    assert_booted(outcome)
    assert any("has to be mounted: not unmounted cleanly" in line for line in outcome.lines)
    text = f"{tiny.device(0)}: journal replayed in memory, the disk is unchanged"
    assert text in outcome.lines
    assert not any(f"mount {tiny.device(0)} " in line for line in outcome.lines)
    modules = {line.split()[0] for line in outcome.greeting["module"]}
    assert "ext4" in modules or platform == "uml", "the ext4 driver is not loaded"


@pytest.mark.platforms("uml", "qemu")
@pytest.mark.parametrize("kind", ["vfat", "xfs", "btrfs"])
def test_boot_filesystem(tiny: Tiny, kind: str) -> None:
    """If the boot filesystem is not ext4, storage-init detects its type, and the image boots."""
    outcome = tiny.boot(tiny.configured(kind), [Drive(tiny.disk(kind))])
    assert_booted(outcome)
    assert outcome.boot["fstype"] == kind


def test_image_on_a_whole_disk(tiny: Tiny) -> None:
    """If the disk is the EROFS image, it boots without a loop device or the ext4 driver."""
    mini = tiny.mini.configured("bootfs UUID=1f0e0000-0000-4000-8000-0000000071e5\nfs -\n")
    outcome = tiny.boot(mini, [Drive(tiny.image)])
    assert_booted(outcome)
    assert (outcome.boot["image"], outcome.boot["attach"]) == ("-", "device")
    modules = {line.split()[0] for line in outcome.greeting["module"]}
    assert "erofs" in modules and not modules & {"ext4", "loop"}


def test_uuid_selects_the_second_of_two_disks(tiny: Tiny) -> None:
    """If two disks have the image and only the second has the right UUID, the second boots."""
    first = tiny.disk(uuid="1f0e0000-0000-4000-8000-00000000dead")
    outcome = tiny.boot(tiny.configured(), [Drive(first), Drive(tiny.disk())])
    assert_booted(outcome)
    assert outcome.boot["device"] == tiny.device(1)


@pytest.mark.platforms("qemu")
def test_one_processor(tiny: Tiny) -> None:
    """With one CPU, which cannot load modules in parallel, the image boots."""
    assert_booted(tiny.boot(tiny.configured(), [Drive(tiny.disk())], smp=1))


# Kind -> QEMU's name of the disk, options that add a controller, the device's path.
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
def test_boot_from_each_controller(tiny: Tiny, kind: str) -> None:
    """The image boots from a disk on each controller, whose driver is found by its modalias."""
    interface, extra, device = CONTROLLERS[kind]
    path = tiny.disk()
    if kind == "SDHCI":
        with path.open("r+b") as file:  # QEMU requires a power of two
            file.truncate(64 << 20)
    drive = Drive(path, interface=interface)
    outcome = tiny.boot(tiny.configured(), [drive], extra=extra)
    assert_booted(outcome)
    assert outcome.boot["device"] == device


@pytest.mark.platforms("qemu")
def test_disk_appears_late(tiny: Tiny) -> None:
    """If the disk is plugged in after 3 s, its uevent reaches storage-init, and the image boots."""

    def plug(vm: Running) -> None:
        vm.wait_console("initoverlayfs: ")
        time.sleep(3)
        vm.plug(0)

    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk(), plugged=False)], meanwhile=plug)
    assert_booted(outcome)
    first, last = (_seconds(outcome, text) for text in ("storage-init ", "exec /init"))
    assert 2.5 < last - first < 15


def test_arguments_and_environment(tiny: Tiny) -> None:
    """Words for init reach stage 2's init, with or without `--`. Interpreter variables do not."""
    words = 'single KEY=value MICROPYPATH=/x MICROPYINSPECT=1 PYTHONPATH=/x -- --first "two words"'
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk())], words)
    assert_booted(outcome)
    assert outcome.greeting["argument"] == ["/init", "single", "--first", "two words"]
    names = [word.partition("=")[0] for word in outcome.greeting["environment"]]
    assert "KEY=value" in outcome.greeting["environment"]
    assert not [name for name in names if "PY" in name]


def test_closed_descriptors(tiny: Tiny, tmp_path: Path) -> None:
    """If descriptors 0 to 2 are closed when storage-init starts, they are open in stage 2."""
    mini = tiny.configured().with_closed_descriptors(tmp_path)
    assert_booted(tiny.boot(mini, [Drive(tiny.disk())]))


def test_configuration_on_the_command_line(tiny: Tiny) -> None:
    """Without a configuration file, settings on the command line suffice to boot."""
    words = f"rd.initoverlayfs.bootfs=UUID={bootdisk.UUIDS['ext4']}"
    outcome = tiny.boot(tiny.mini.configured(None), [Drive(tiny.disk())], words)
    assert_booted(outcome)


def test_invalid_settings_are_ignored(tiny: Tiny) -> None:
    """For each unknown, malformed or empty setting, one line names its place; the image boots."""
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


def test_debug_log_is_not_rate_limited(tiny: Tiny) -> None:
    """With rd.debug, no log line is lost to the kernel's rate limiting."""
    outcome = tiny.boot(tiny.configured(), [Drive(tiny.disk())], "rd.debug")
    assert_booted(outcome)
    assert "callbacks suppressed" not in outcome.console


@pytest.mark.platforms("qemu")
def test_image_is_attached_within_50_ms(tiny: Tiny) -> None:
    """The image is attached within 50 ms after the kernel announces its disk.

    The time is virtual. Before the disk appears, storage-init has loaded the driver of another disk
    and the modules that the image requires.
    """
    other = tiny.disk(uuid="1f0e0000-0000-4000-8000-00000000dead")

    def plug(vm: Running) -> None:
        vm.wait_console("initoverlayfs: seen /dev/vda ")
        vm.wait_quiet(3)  # all modules are loaded
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
