# SPDX-License-Identifier: MIT
"""Boot a stage 1 in namespaces of this machine, and measure its costs.

The boot filesystem is an ext4 on a loop device, and contains stage 2's EROFS image. A static
program boots it as PID 1, up to the exec of stage 2's init; see boot.c. /sys/class/block contains
only that loop device, so that the figures do not depend on the disks of this machine. No modules
are loaded. The root is switched with pivot_root, as in an initramfs since Linux 7.0.

callgrind counts instructions. It runs as PID 1 in place of the program, and dumps before execve,
because a process that executes another program never reaches the dump at its end. `perf stat`
requires counters that virtual machines often lack, and single-stepping takes 20 us a step on some.
"""

import contextlib
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import bootdisk
from harness.privilege import CommandFailed, run

HERE = Path(__file__).resolve().parent
_TIMEOUT = 100  # seconds for a boot, which takes three under callgrind


@dataclass(frozen=True)
class Boot:
    """The costs of a boot from stage 1's exec to stage 2's: times in ms, peak resident KiB."""

    wall: float
    cpu: float
    resident: int


def compiled(source: str, directory: Path) -> Path:
    """Compile a C file of this directory to a static program. Raises CommandFailed."""
    path = directory / source[: -len(".c")]
    headers = ["-idirafter", "/usr/include"]
    headers += ["-idirafter", "/usr/include/" + run(["gcc", "-print-multiarch"]).strip()]
    flags = ["-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror", *headers]
    if source == "native.c":
        flags.remove("-s")  # callgrind finds execve by its symbol
    run(["musl-gcc", *flags, "-o", str(path), str(HERE / source)])
    return path


def callgrind() -> Path:
    """Return the static program of `valgrind --tool=callgrind`. Raises FileNotFoundError."""
    for pattern in ("libexec/valgrind", "lib/valgrind", "lib/*/valgrind"):
        for path in Path("/usr").glob(pattern + "/callgrind-amd64-linux"):
            return path
    raise FileNotFoundError("callgrind for amd64 not found: install valgrind")


class Bench:
    """Boot programs and measure them, inside `with Bench.made(directory)`. Requires root."""

    def __init__(self, directory: Path, device: str, mounts: bool = True) -> None:
        self.directory = directory
        self.device = device
        self.mounts = mounts
        self.state = directory / "state"
        self.starter = directory / "boot"

    @classmethod
    @contextlib.contextmanager
    def made(cls, directory: Path) -> "Iterator[Bench]":
        """Prepare boots in an empty directory, and attach a loop device while the context lasts.

        Raises CommandFailed.
        """
        bench = cls(directory, "")
        compiled("boot.c", directory)
        for name in ("root", "block"):
            (bench.state / name).mkdir(parents=True)
        tree = directory / "tree"
        for name in ("dev", "proc", "sys", "run"):
            (tree / name).mkdir(parents=True)
        shutil.copy(bench.starter, tree / "init")
        image = directory / "image"
        run(["mkfs.erofs", "-zlz4hc", str(image), str(tree)])
        disk = directory / "disk"
        bootdisk.make(disk, "ext4", {f"initoverlayfs-{os.uname().release}.img": image})
        bench.device = run(["losetup", "--find", "--show", str(disk)]).strip()
        try:
            name = bench.device[len("/dev/") :]
            (bench.state / "block" / name).symlink_to("../../devices/virtual/block/" + name)
            yield bench
        finally:
            run(["losetup", "--detach", bench.device])

    def boot(self, program: Path, cgroup: str = "-") -> Boot:
        """Boot once. Raises CommandFailed if stage 2 is not reached."""
        marks = re.findall(r"^mark (\d+) (\d+) (\d+)$", self._enter([], program, cgroup), re.M)
        (begun, used, _), (ended, all_used, resident) = marks
        wall, cpu = int(ended) - int(begun), int(all_used) - int(used)
        return Boot(wall / 1e6, cpu / 1e6, int(resident))

    def log(self) -> list[str]:
        """Return the log lines of the last boot."""
        return (self.state / "kmsg").read_text().splitlines()

    def system_calls(self, program: Path) -> "Counter[str]":
        """Count the system calls of a boot by name, including both execs and all children."""
        trace = self.directory / "strace"
        self._enter(["strace", "-f", "-o", str(trace)], program, "-")
        return calls_between_execs(trace.read_text())

    def instructions(self, program: Path) -> int:
        """Count the user-space instructions of a boot, excluding child processes."""
        for old in self.state.glob("callgrind*"):
            old.unlink()
        wrapper = [str(callgrind()), "--tool=callgrind", "--default-suppressions=no"]
        wrapper += ["--log-file=/proc/self/fd/9/valgrind.log", "--dump-before=execve"]
        wrapper += ["--callgrind-out-file=/proc/self/fd/9/callgrind", "/init"]
        self._enter([], program, "-", wrapper)
        (dump,) = self.state.glob("callgrind.*")
        totals = re.search(r"^totals: (\d+)$", dump.read_text(), re.M)
        assert totals
        return int(totals[1])

    def spawn(
        self, count: int, program: Sequence[str], cgroup: str = "-"
    ) -> "list[tuple[float, float]]":
        """Start a program `count` times; return each one's wall-clock and CPU time in ms."""
        output = _output([str(self.starter), "spawn", str(count), cgroup, *program])
        found = re.findall(r"^spawn (\d+) (\d+) \d+$", output, re.M)
        return [(int(wall) / 1e6, int(cpu) / 1e3) for wall, cpu in found]

    def _enter(
        self, before: Sequence[str], program: Path, cgroup: str, wrapper: Sequence[str] = ()
    ) -> str:
        texts = {"cmdline": "quiet\n", "kmsg": "", "printk": "", "conf": ""}
        # As on Debian, where ext4 is a module: storage-init does not mount the boot filesystem.
        known = Path("/proc/filesystems").read_text()
        texts["filesystems"] = known if self.mounts else known.replace("\text4\n", "\text5\n")
        texts["conf"] = f"bootfs UUID={bootdisk.UUIDS['ext4']}\nbootfs_hint {self.device}\n"
        for name, text in texts.items():
            (self.state / name).write_text(text)
        line = [*before, str(self.starter), "enter", str(self.state), cgroup, str(program)]
        output = _output([*line, *wrapper])
        if output.count("mark ") != 2:
            raise CommandFailed(f"{program} did not reach stage 2:\n" + "\n".join(self.log()))
        return output


def _output(line: Sequence[str]) -> str:
    # A fixed environment: storage-init parses its environment, which costs instructions.
    environment = {"HOME": "/", "TERM": "linux", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    environment.update(VALGRIND_LAUNCHER="/usr/bin/valgrind", TMPDIR="/proc/self/fd/9")
    done = subprocess.run(
        line,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment,
        text=True,
        timeout=_TIMEOUT,
    )
    if done.returncode != 0:
        raise CommandFailed(f"{line[0]} failed with status {done.returncode}: {done.stderr}")
    return done.stdout


def calls_between_execs(trace: str) -> "Counter[str]":
    """Count the system calls in a trace of `strace -f` between two execs of /init, both included.

    Of the processes older than the first exec, only the one that makes it is counted. Raises
    ValueError if the trace has fewer than two execs of /init.
    """
    found: Counter[str] = Counter()
    before: set[str] = set()
    init = ""
    for line in trace.splitlines():
        pid, _, text = line.partition(" ")
        begun = re.match(r"\s*([a-z_0-9]+)\(", text)
        if not begun:
            continue  # the end of an unfinished call, a signal, or an exit
        execs = begun[1] in ("execve", "execveat") and '"/init"' in text
        if not init and not execs:
            before.add(pid)
            continue
        if init and pid in before - {init}:
            continue
        found[begun[1]] += 1
        if execs and init:
            return found
        init = init or pid
    raise ValueError("the trace has fewer than two execs of /init")
