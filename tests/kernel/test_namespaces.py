# SPDX-License-Identifier: MIT
"""storage-init boots on this machine's kernel, with real loop devices and filesystems."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import built
import pytest
from namespace import Machine, Outcome, backing_file, wait_until

from harness import bootdisk
from harness.mini import compiled
from harness.privilege import run

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="requires root, for mounts and loop devices"
)

# include/uapi/linux/loop.h
_LOOP_CTL_ADD = 0x4C80
_LOOP_CTL_REMOVE = 0x4C81

HERE = Path(__file__).resolve().parent

# In a PID namespace reboot(2) kills PID 1 with one of these signals, see pid_namespaces(7).
REBOOTED = -signal.SIGHUP
POWERED_OFF = -signal.SIGINT


def attached() -> "set[str]":
    """Return a line for each loop device in use, with its backing file."""
    listing = subprocess.run(
        ["losetup", "-n", "-O", "NAME,BACK-FILE"], stdout=subprocess.PIPE, text=True, check=True
    )
    return set(listing.stdout.splitlines())


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Fail a test that leaves loop devices or mounts behind."""
    before = attached()
    yield
    left = {line for line in attached() - before if str(tmp_path) in line}
    assert not left, "loop devices were left behind"
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


@pytest.fixture(scope="session")
def stage2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a directory tree for stage 2, whose init is stage2.c, linked statically."""
    directory = tmp_path_factory.mktemp("stage2")
    program = compiled((HERE / "stage2.c").read_text(), directory / "stage2")
    tree = directory / "tree"
    for name in ("dev", "proc", "run", "sys"):
        (tree / name).mkdir(parents=True)
    (tree / "init").write_bytes(program.read_bytes())
    (tree / "init").chmod(0o755)
    return tree


@pytest.fixture(params=["micropython", "cpython"])
def machine(request: pytest.FixtureRequest, tmp_path: Path, stage2: Path) -> Machine:
    """Prepare to run storage-init as PID 1, on each interpreter."""
    if request.param == "cpython":
        return Machine(tmp_path, stage2, [sys.executable, "-m", "storage_init"])
    return Machine(tmp_path, stage2, [built.program("storage-init")])


def assert_booted(outcome: Outcome) -> None:
    """Check that stage 2's init ran on the overlay, and that stage 1 left no mounts behind."""
    assert outcome.greeted and outcome.status == 0, outcome.output + outcome.log
    assert outcome.said("writable") == ["yes"]
    mounts = [line.split() for line in outcome.said("mount")]
    root = [fields for fields in mounts if fields[4] == "/"]
    assert len(root) == 1 and root[0][root[0].index("-") + 1] == "overlay"
    # Deeper mounts, such as /proc/cmdline, belong to the test.
    kinds = {fields[fields.index("-") + 1] for fields in mounts if fields[4].count("/") == 1}
    assert kinds == {"overlay", "devtmpfs", "proc", "sysfs", "tmpfs"}


def disk(machine: Machine, kind: str = "ext4", image: str = "erofs") -> Path:
    """Make a disk with a boot filesystem that contains stage 2's image."""
    return bootdisk.make(machine.directory / "disk", kind, {machine.name: machine.image(image)})


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_boot_filesystem(machine: Machine, kind: str) -> None:
    """storage-init detects the boot filesystem's type, attaches the image, switches the root."""
    if kind not in Path("/proc/filesystems").read_text().split():
        pytest.skip(f"this kernel has no {kind}")
    with machine.loop(disk(machine, kind)) as device:
        outcome = machine.boot(f"bootfs {device}\n")
        assert_booted(outcome)
        assert f"boot filesystem {device} is {device} ({kind})" in outcome.lines
        assert outcome.lines[-1] == "exec /init"


@pytest.mark.parametrize("kind", ["squashfs", "ext4"])
def test_image_by_loop(machine: Machine, kind: str) -> None:
    """An image that requires a loop device gets one, which is detached after the boot."""
    with machine.loop(disk(machine, image=kind)) as device:
        outcome = machine.boot(f"bootfs {device}\n")
        assert_booted(outcome)
        (line,) = [line for line in outcome.lines if " attached: loop " in line]
        _, used, found = line.partition(" attached: ")[2].split(",")[0].split()
        assert found == kind
        wait_until(lambda: machine.name not in (backing_file(used) or ""))


@pytest.mark.parametrize("kind", ["erofs", "squashfs", "ext4"])
def test_image_on_a_device(machine: Machine, kind: str) -> None:
    """An image of any type boots from the device, without a boot filesystem."""
    with machine.loop(machine.image(kind)) as device:
        outcome = machine.boot(f"bootfs {device}\nfs -\n")
        assert_booted(outcome)
        assert f"image {device} attached: device {kind}" in outcome.lines


def test_arguments_and_environment(machine: Machine) -> None:
    """Stage 2's init gets the kernel's arguments, without the interpreters' variables."""
    with machine.loop(disk(machine)) as device:
        outcome = machine.boot(f"bootfs {device}\n", arguments=["single", "a b"])
    assert_booted(outcome)
    assert outcome.said("argument") == ["/init", "single", "a b"]
    names = [word.partition("=")[0] for word in outcome.said("environment")]
    assert "KEY" in names and "PYTHONPATH" not in names


@contextlib.contextmanager
def spare_loop() -> Iterator[str]:
    """Add a loop device that no other process uses, as each takes the first one that is free."""
    number = 1000 + os.getpid() % 100000
    with open("/dev/loop-control", "rb") as control:
        fcntl.ioctl(control, _LOOP_CTL_ADD, number)
        try:
            yield f"/dev/loop{number}"
        finally:
            fcntl.ioctl(control, _LOOP_CTL_REMOVE, number)


def test_the_device_appears_later(machine: Machine) -> None:
    """storage-init waits for a device that is still empty, until a uevent reports its content."""
    path = disk(machine)
    with spare_loop() as device:
        process = machine.start(f"bootfs {device}\n")
        wait_until(lambda: "storage-init" in (machine.directory / "kmsg").read_text())
        time.sleep(1)
        assert process.poll() is None
        run(["losetup", device, str(path)])
        try:
            assert_booted(machine.finish(process))
        finally:
            run(["losetup", "--detach", device])
            wait_until(lambda: backing_file(device) != str(path))


def test_the_device_never_appears(machine: Machine) -> None:
    """After the deadline storage-init logs that the device is missing, and reboots."""
    outcome = machine.boot("bootfs UUID=no-such\ntimeout 1\n")
    assert outcome.status == REBOOTED and not outcome.greeted, outcome.output + outcome.log
    assert "image: wait for UUID=no-such: timed out after 1 s; seen: " in outcome.log
    assert outcome.lines[-1] == "no way to boot left: reboot in 10 s"


def test_the_image_is_missing(machine: Machine) -> None:
    """storage-init logs the missing file, and powers off as configured."""
    path = bootdisk.make(machine.directory / "disk", "ext4", {})
    with machine.loop(path) as device:
        outcome = machine.boot(f"bootfs {device}\n", "rd.emergency=poweroff")
    assert outcome.status == POWERED_OFF and not outcome.greeted, outcome.output + outcome.log
    assert f"open /{machine.name} in /stage1/boot: No such file or directory" in outcome.log


def test_concurrent_boots(machine: Machine, tmp_path: Path) -> None:
    """Four boots that need a loop device at the same time each get one."""
    outcomes: list[Outcome] = []
    with machine.loop(disk(machine, image="squashfs")) as device:

        def boot(number: int) -> None:
            own = tmp_path / str(number)
            own.mkdir()
            other = Machine(own, machine.stage2, machine.command)
            outcomes.append(other.boot(f"bootfs {device}\n"))

        threads = [threading.Thread(target=boot, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 4
        for outcome in outcomes:
            assert_booted(outcome)


def test_the_interpreter_exits(tmp_path: Path, stage2: Path) -> None:
    """If the interpreter exits as PID 1, the machine reboots instead of panicking."""
    machine = Machine(tmp_path, stage2, [built.program("micropython"), "-c", "raise SystemExit(0)"])
    outcome = machine.boot("")
    assert outcome.status == REBOOTED, outcome.output + outcome.log
    assert outcome.lines == ["storage-init exited: reboot in 10 s"]


def test_the_interpreter_crashes(tmp_path: Path, stage2: Path) -> None:
    """If the interpreter crashes as PID 1, it logs the signal, and the machine reboots."""
    machine = Machine(tmp_path, stage2, [built.program("storage-init")])
    process = machine.start("bootfs UUID=no-such\n")
    wait_until(lambda: "storage-init" in (tmp_path / "kmsg").read_text())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGSEGV)
    outcome = machine.finish(process)
    assert outcome.status == REBOOTED, outcome.output + outcome.log
    assert f"storage-init crashed, signal {int(signal.SIGSEGV)}: reboot in 10 s" in outcome.log
