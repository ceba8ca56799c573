# SPDX-License-Identifier: MIT
"""Run storage-init as PID 1 in namespaces, as in an initramfs but without a virtual machine.

The root is a tmpfs. This machine's programs are bind-mounted into it, so that CPython runs there
too. Files of the test are mounted on /proc/cmdline, /dev/kmsg and printk_devkmsg, so that this
machine's log and settings stay unchanged. No modules are loaded.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Callable, Optional

from harness.privilege import run

ROOT = Path(__file__).resolve().parent.parent.parent

# sh -ec SCRIPT sh NEW-ROOT STATE PATHS-TO-BIND COMMAND...
_ENTER = """
root=$1 state=$2 bind=$3; shift 3
mount -t tmpfs tmpfs "$root"
for path in $bind; do
    mkdir -p "$root$path"
    mount --rbind "$path" "$root$path"
done
for link in bin lib lib64 sbin; do
    if [ -L "/$link" ]; then ln -s "usr/$link" "$root/$link"; fi
done
mkdir "$root/dev" "$root/proc" "$root/etc" "$root/old"
mount -t devtmpfs devtmpfs "$root/dev"
mount -t proc proc "$root/proc"
mount --bind "$state/kmsg" "$root/dev/kmsg"
mount --bind "$state/cmdline" "$root/proc/cmdline"
mount --bind "$state/printk" "$root/proc/sys/kernel/printk_devkmsg"
cp "$state/conf" "$root/etc/initoverlayfs.conf"
cd "$root"
pivot_root . old
umount -l /old
rmdir /old
exec "$@"
"""


class Outcome:
    """The result of a boot: storage-init's log, stage 2's output, and PID 1's exit status."""

    def __init__(self, status: int, output: str, log: str) -> None:
        self.status = status
        self.output = output
        self.log = log
        self.lines = [line.partition("initoverlayfs: ")[2] for line in log.splitlines()]

    def said(self, key: str) -> "list[str]":
        """Return the values that stage 2 printed after this key."""
        found = [line.partition(" ") for line in self.output.splitlines()]
        return [value for name, _, value in found if name == key]

    @property
    def greeted(self) -> bool:
        """Return true if stage 2's init ran."""
        return "greeting" in self.output.splitlines()


class Machine:
    """Run a command that starts storage-init as PID 1, with a tree as stage 2."""

    def __init__(self, directory: Path, stage2: Path, command: Sequence[str]) -> None:
        self.directory = directory
        self.stage2 = stage2
        self.command = list(command)
        self.name = f"initoverlayfs-{os.uname().release}.img"

    def image(self, kind: str = "erofs") -> Path:
        """Make an image of this type from stage 2's tree; return its path."""
        path = self.directory / ("stage2." + kind)
        if kind == "erofs":
            run(["mkfs.erofs", "-zlz4hc", str(path), str(self.stage2)])
        elif kind == "squashfs":
            run(["mksquashfs", str(self.stage2), str(path), "-quiet", "-no-progress"])
        else:
            with path.open("wb") as file:
                file.truncate(16 << 20)
            run(["mkfs.ext4", "-q", "-F", "-d", str(self.stage2), str(path)])
        return path

    @contextlib.contextmanager
    def loop(self, backing: Path) -> Iterator[str]:
        """Attach a loop device to a file while the context lasts."""
        device = run(["losetup", "--find", "--show", str(backing)]).strip()
        try:
            yield device
        finally:
            run(["losetup", "--detach", device])
            wait_until(lambda: backing_file(device) != str(backing))

    def start(
        self, conf: str, cmdline: str = "", arguments: Sequence[str] = ()
    ) -> "subprocess.Popen[str]":
        """Start storage-init, and return without waiting for it: see finish()."""
        texts = {"conf": conf, "cmdline": f"quiet {cmdline}\n", "kmsg": "", "printk": ""}
        for name, text in texts.items():
            (self.directory / name).write_text(text)
        root = self.directory / "root"
        root.mkdir()
        bind = {"/usr", "/tmp", sys.base_prefix, sys.prefix, str(ROOT), str(self.directory)}
        bind |= {str(Path(self.command[0]).parent)}
        # A path below another path of the set needs no bind mount of its own.
        bind = {path for path in bind if not any(path.startswith(other + "/") for other in bind)}
        shell = ["sh", "-ec", _ENTER, "sh", str(root), str(self.directory), " ".join(bind)]
        return subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--"]
            + [*shell, *self.command, *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "KEY": "value"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: "subprocess.Popen[str]", timeout: float = 40) -> Outcome:
        """Wait for PID 1 to end. Kills it after `timeout` seconds and raises TimeoutExpired."""
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return Outcome(process.returncode, output, (self.directory / "kmsg").read_text())

    def boot(self, conf: str, cmdline: str = "", arguments: Sequence[str] = ()) -> Outcome:
        """Start storage-init, and wait for its end."""
        return self.finish(self.start(conf, cmdline, arguments))


def backing_file(device: str) -> Optional[str]:
    """Return the backing file of a loop device, or None if it is detached."""
    path = Path("/sys/block") / Path(device).name / "loop/backing_file"
    try:
        return path.read_text().strip()
    except OSError:
        return None


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Poll a condition until it is true. Raises AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"the condition is still false after {seconds} s"
        time.sleep(0.01)
