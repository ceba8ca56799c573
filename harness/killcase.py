# SPDX-License-Identifier: MIT
"""Judge the disk that an interrupted run of initoverlayfs-install leaves behind.

A judgment uses a model of a boot loader, a boot with storage-init, and the output of
initoverlayfs-install --verify.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness import bootdisk
from harness.machine import Drive
from harness.mini import Raw
from harness.privilege import as_root, run
from harness.tiny import Tiny
from initoverlayfs.build import binding_file

_ROOT = Path(__file__).resolve().parent.parent
_VERIFY = "import sys; from initoverlayfs.main import main; sys.exit(main())"
# sh -ec SCRIPT sh ROOT TOOLS COMMAND... Adds this machine's programs to ROOT: --verify requires
# veritysetup there.
_IN_TREE = """
mount -t overlay -o "lowerdir=$2:/usr" overlay "$1/usr"
shift 2
exec "$@"
"""


@dataclass
class Case:
    """An interrupted run and the outcome of the next boot.

    action: install or rollback. kind: kill or power. when: moment of the interruption, as a share
    of the run's time or as a number of its writes. booted: the pair that booted, old or new, or a
    description of another outcome. replayed: a replay of the journal would not change which
    mini-initramfs the boot loader finds.
    """

    number: int
    filesystem: str
    action: str
    kind: str
    when: str
    verity: bool
    booted: str = ""
    verify: str = ""
    replayed: bool = True
    ok: bool = False
    seconds: float = 0.0
    detail: str = ""


class Looker:
    """Examine disks with a boot filesystem of one kind. ids: image ID -> number of the pair."""

    def __init__(self, tiny: Tiny, kind: str, ids: dict[str, str]) -> None:
        self.tiny = tiny
        self.kind = kind
        self.ids = ids
        self.directory = tiny.directory
        self.release = tiny.platform.release

    def before(self, disk: Path, action: str) -> dict[str, str]:
        """Return number -> old or new, for the pairs that are on the disk before the run.

        Before an installation, the new pair is not among them: the installation has yet to make it.
        """
        name = f"initrd.img-{self.release}"
        seen = self._number(disk, name)
        disk = self._replayed(disk)
        current = self._number(disk, name)
        outgoing = self._number(disk, f".{name}.outgoing")
        if outgoing in ("", current):
            outgoing = self._number(disk, name + ".previous")
        return {**({outgoing: "new"} if action == "rollback" else {}), seen: "old", current: "old"}

    def look(self, case: Case, disk: Path, expected: dict[str, str]) -> None:
        """Boot the disk, run --verify, and fill in the case. expected: number -> old or new."""
        initrd = self.loaded(disk)
        status, case.verify = self.verify(disk)
        outcome = self.tiny.boot(Raw(initrd), [Drive(disk)], "quiet", smp=1)
        case.seconds = round(outcome.seconds, 1)
        serial = outcome.greeting.get("initrd", [""])[0].partition("=")[2]
        case.booted = expected.get(serial, f"neither, but {serial or 'nothing'}")
        if not outcome.greeted or outcome.boot["attempt"] != "image":
            case.booted = "by a later attempt: " + case.booted
            case.detail = outcome.console
        bound = self._bound(initrd)
        # --verify sees changes that are only in the journal, and the boot loader does not.
        case.replayed = f"belongs to image {bound}\n" in case.verify.splitlines(True)[0]
        said = [uuid for uuid in self.ids if f"next boot: ok: image {uuid} in " in case.verify]
        saying = self.ids.get(said[0], "") if said else ""
        agrees = saying == serial if case.replayed else saying in expected
        case.ok = case.booted in ("old", "new") and status == 0 and agrees

    def verify(self, disk: Path) -> tuple[int, str]:
        """Return exit status and output of --verify for a system with this boot filesystem."""
        root = self.directory / "root"
        shutil.rmtree(root, ignore_errors=True)
        for name in ("boot", "etc", "usr", "dev", "proc", "sys", "run"):
            (root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / name).symlink_to("usr/" + name)
        tools = self.directory / "tools"
        modules = tools / "lib/modules" / self.release
        modules.mkdir(parents=True, exist_ok=True)
        (modules / "modules.dep").touch()
        # A driver of the boot filesystem may be missing only if the kernel has it built in.
        (modules / "modules.builtin").write_text(self.tiny.platform.builtin)
        fstab = f"UUID={bootdisk.UUIDS[self.kind]} /boot {self.kind} defaults 0 2\n"
        (root / "etc/fstab").write_text(fstab)
        (root / "etc/debian_version").touch()
        copy = self._replayed(disk)
        if self.kind == "vfat":
            run(["mcopy", "-n", "-i", str(copy), "::*", str(root / "boot")])
        else:
            run(["debugfs", "-R", f"rdump / {root}/boot", str(copy)])
        line = [sys.executable, "-c", _VERIFY, "--verify", "--kver", self.release]
        line = ["sh", "-ec", _IN_TREE, "sh", str(root), str(tools), *line, "--root", str(root)]
        done = subprocess.run(
            as_root(["env", f"PYTHONPATH={_ROOT}", *line], "--mount"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def _replayed(self, disk: Path) -> Path:
        """Return a copy of the disk. If its filesystem has a journal, the journal is replayed."""
        copy = self.directory / "copy"
        run(["cp", str(disk), str(copy)])  # cp keeps holes, shutil.copy does not
        if self.kind != "vfat":
            # Repair nothing else: any other damage is a failure.
            run(["e2fsck", "-p", "-E", "journal_only", str(copy)])
        return copy

    def loaded(self, disk: Path) -> bytes:
        """Return the initramfs that a boot loader loads; empty if it finds none."""
        return self._read(disk, f"initrd.img-{self.release}")

    def _number(self, disk: Path, name: str) -> str:
        """Return the number of the pair of the initramfs with this name; empty if there is none."""
        return self.ids.get(self._bound(self._read(disk, name)), "")

    def _bound(self, initrd: bytes) -> str:
        path = self.directory / "bound"
        path.write_bytes(initrd)
        found = binding_file.read(path)
        return found.uuid if found else ""

    def _read(self, disk: Path, name: str) -> bytes:
        """Read a file as a boot loader does, which ignores the journal; empty if it is missing."""
        path = self.directory / "read"
        path.write_bytes(b"")
        if self.kind == "vfat":
            line = ["mcopy", "-n", "-i", str(disk), f"::{name}", str(path)]
            subprocess.run(line, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        else:
            # -c: skip the bitmaps, which may be half written. A boot loader skips them too.
            run(["debugfs", "-c", "-R", f"dump /{name} {path}", str(disk)])
        return path.read_bytes()
