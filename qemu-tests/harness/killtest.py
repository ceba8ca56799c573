# SPDX-License-Identifier: MIT
"""Installations that are ended at random moments, and what boots then: ./dev killtest.

initoverlayfs-install runs again and again on a boot filesystem, in user-mode Linux, and each run is
either killed (SIGKILL) or its disk loses power: of what it wrote, all is dropped that came after
the last flush. Then a machine boots with the mini-initramfs that a bootloader finds there and with
that filesystem, and initoverlayfs-install --verify says what it thinks of it.
"""

import argparse
import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from harness import accel, blocklog, bootdisk, cpio, uml
from harness.guest import guest as build_guest
from harness.mini import Mini
from harness.privilege import CommandFailed, as_root, run
from harness.tiny import Tiny, image
from harness.vm import Drive, MachineFailure
from initoverlayfs import identity
from storage_init.identity import PATH

KINDS = ("ext4", "vfat")
MIB = 1 << 20
SIZE = 96 * MIB
# installations in one go
ROUND = 10

_ROOT = Path(__file__).resolve().parent.parent.parent
_VERIFY = "import sys; from initoverlayfs.install import main; sys.exit(main())"
# sh -ec SCRIPT sh ROOT TOOLS COMMAND...: with this machine's programs in the tree, for veritysetup
_IN_TREE = """
mount -t overlay -o "lowerdir=$2:/usr" overlay "$1/usr"
shift 2
exec "$@"
"""
_PLAIN = cpio.write([cpio.entry("init", b"plain")])


@dataclass
class Case:
    """An installation that was ended, and what came of it.

    kind: kill or power. when: of the time that an installation takes, or of what it writes.
    booted: old, new, or what happened instead. replayed: whether the bootloader would find the
    same mini-initramfs after the journal has been replayed.
    """

    number: int
    filesystem: str
    kind: str
    when: str
    verity: bool
    booted: str = ""
    verify: str = ""
    replayed: bool = True
    ok: bool = False
    seconds: float = 0.0
    detail: str = ""


class _Raw(Mini):
    """An initramfs file as it is."""

    def __init__(self, data: bytes) -> None:
        super().__init__([])
        self.data = data

    def write(self, path: Path) -> Path:
        path.write_bytes(self.data)
        return path


class Round:
    """Some installations one after the other on a new boot filesystem, and what they leave.

    broken: by a program that writes in place.
    """

    def __init__(
        self, tiny: Tiny, kind: str, count: int, chance: random.Random, broken: bool = False
    ) -> None:
        self.tiny = tiny
        self.kind = kind
        self.chance = chance
        self.directory = tiny.directory
        self.release = tiny.guest.kver
        self.empty = self.directory / "empty"
        self.log = self.directory / "log"
        self.ids: dict[str, str] = {}
        self.verity: list[bool] = []
        self._make_filesystem()
        # the first two make the pairs that the others find
        prepared = [self._prepare(number) for number in range(count + 2)]
        kills = [chance.uniform(0.05, 1.1) if chance.random() < 0.5 else None for _ in prepared]
        kills[:2] = [None, None]
        self.results = self._install(prepared, kills, broken)
        self.entries = blocklog.read(self.log)
        self.marks = {one.mark: at for at, one in enumerate(self.entries) if one.mark}

    def _make_filesystem(self) -> None:
        plain = self.directory / "plain"
        plain.mkdir()
        (plain / f"initrd.img-{self.release}").write_bytes(_PLAIN)
        with self.empty.open("wb") as file:
            file.truncate(SIZE)
        uuid = bootdisk.UUIDS[self.kind]
        if self.kind == "vfat":
            run(["mkfs.vfat", "-i", uuid.replace("-", ""), str(self.empty)])
            (one,) = plain.iterdir()
            run(["mcopy", "-i", str(self.empty), str(one), "::" + one.name])
        else:
            options = ["-q", "-F", "-b", "4096", "-U", uuid, "-d", str(plain)]
            run(["mkfs." + self.kind, *options, str(self.empty)])

    def _prepare(self, number: int) -> Path:
        """A pair as it is when it has been built: an image that says its number, and its mini."""
        directory = self.directory / f"prepared-{number}"
        directory.mkdir()
        place = self.tiny.at(directory)
        uuid = f"1f0e0000-0000-4000-8000-{number:012x}"
        more = {
            "etc/initrd-release": f"ID={number}\n".encode(),
            "random": self.chance.randbytes(self.chance.randrange(MIB, 4 * MIB)),
        }
        path = image(directory / "image", self.tiny.greeting, uuid, files=more)
        words = ""
        self.verity.append(self.chance.random() < 0.3)
        if self.verity[-1]:
            path, words = place.with_hash_tree(path, "image")
        mini = place.identified(path, words, self.kind, "timeout 20\n").entries
        bound = [one for one in mini if one.name == PATH[1:]]
        rest = [one for one in mini if one.name != PATH[1:]]
        self.ids[uuid] = str(number)
        archive = directory / "rest"
        archive.write_bytes(cpio.write(rest))
        run(["zstd", "-q", "-1", str(archive), "-o", str(directory / "compressed")])
        parents = [str(path) for path in Path(PATH[1:]).parents][-2::-1]
        above = [cpio.entry(name, mode=cpio.DIRECTORY | 0o755) for name in parents]
        content = cpio.write(above + bound) + (directory / "compressed").read_bytes()
        (directory / "mini").write_bytes(content)
        return directory

    def _install(
        self, prepared: Sequence[Path], kills: Sequence[Optional[float]], broken: bool
    ) -> list[dict[str, Any]]:
        disk = self.directory / "disk"
        shutil.copy(self.empty, disk)
        with self.log.open("wb") as file:
            file.truncate(2048 * MIB)  # sparse
        task = {
            "fstype": self.kind,
            "uuid": bootdisk.UUIDS[self.kind],
            "sectors": SIZE // blocklog.SECTOR,
            "release": self.release,
            "broken": broken,
            "installs": [
                {"prepared": str(path), "kill": kill} for path, kill in zip(prepared, kills)
            ],
        }
        script = Path(__file__).parent / "killtest_inside.py"
        system = uml.Uml(self.directory, script, sys.executable, str(_ROOT))
        results: list[dict[str, Any]] = system.run([disk, self.log], task)
        for number, result in enumerate(results):
            if result["status"] not in (0, -9):
                output = (self.directory / f"out/output-{number}").read_text()
                raise MachineFailure(f"installation {number} failed:\n{output}")
        return results

    def cases(self, first: int) -> Iterator[Case]:
        """What came of each; numbers start with `first`."""
        for index in range(2, len(self.results)):
            killed = self.results[index]["status"] == -9
            case = Case(
                first + index - 2,
                self.kind,
                "kill" if killed else "power",
                "",
                self.verity[index],
            )
            start, end = self.marks[f"start-{index}"], self.marks[f"end-{index}"]
            if killed:
                share = self.results[index]["after"] / self.results[1]["seconds"]
                case.when = f"after {100 * share:.0f} % of the time"
                lasting = self.entries[: self.marks[f"synced-{index}"]]
            else:
                cut = self.chance.randrange(start, end + 1)
                case.when = f"after write {cut - start} of {end - start}"
                lasting = blocklog.survives(self.entries, cut)
            try:
                before = self._disk(self.entries[:start], "start")
                old = self.ids.get(self._bound(self._bootloader(before)), "")
                self._look(case, self._disk(lasting, "state"), {old: "old", str(index): "new"})
            except (MachineFailure, CommandFailed, OSError) as seen:
                case.detail = str(seen)
            yield case

    def _disk(self, entries: Sequence[blocklog.Entry], name: str) -> Path:
        path = self.directory / name
        shutil.copy(self.empty, path)
        blocklog.replay(self.log, entries, path)
        return path

    def _look(self, case: Case, disk: Path, expected: dict[str, str]) -> None:
        """Boot, and ask initoverlayfs-install --verify."""
        initrd = self._bootloader(disk)
        status, case.verify = self._verify(disk)
        outcome = self.tiny.boot(_Raw(initrd), [Drive(disk)], "quiet", smp=1)
        case.seconds = round(outcome.seconds, 1)
        serial = outcome.greeting.get("initrd", [""])[0].partition("=")[2]
        case.booted = expected.get(serial, f"neither, but {serial or 'nothing'}")
        if not outcome.greeted or outcome.boot["attempt"] != "image":
            case.booted = "by a later attempt: " + case.booted
            case.detail = outcome.console
        bound = self._bound(initrd)
        # what is only in a journal, the bootloader does not see, but --verify does
        case.replayed = f"belongs to image {bound}\n" in case.verify.splitlines(True)[0]
        said = [uuid for uuid in self.ids if f"next boot: ok: image {uuid} in " in case.verify]
        saying = self.ids.get(said[0], "") if said else ""
        agrees = saying == serial if case.replayed else saying in expected
        case.ok = case.booted in ("old", "new") and status == 0 and agrees

    def _verify(self, disk: Path) -> tuple[int, str]:
        """What initoverlayfs-install --verify says of a system with this boot filesystem."""
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
        fstab = f"UUID={bootdisk.UUIDS[self.kind]} /boot {self.kind} defaults 0 2\n"
        (root / "etc/fstab").write_text(fstab)
        (root / "etc/debian_version").touch()
        copy = self.directory / "copy"
        shutil.copy(disk, copy)
        if self.kind == "vfat":
            run(["mcopy", "-n", "-i", str(copy), "::*", str(root / "boot")])
        else:
            # replays the journal, and nothing else: what it would correct is a failure
            run(["e2fsck", "-p", "-E", "journal_only", str(copy)])
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

    def _bound(self, initrd: bytes) -> str:
        path = self.directory / "bound"
        path.write_bytes(initrd)
        found = identity.read(path)
        return found.uuid if found else ""

    def _bootloader(self, disk: Path) -> bytes:
        """The initramfs as a bootloader reads it: without looking at a journal."""
        path = self.directory / "read"
        path.unlink(missing_ok=True)
        name = f"initrd.img-{self.release}"
        if self.kind == "vfat":
            run(["mcopy", "-n", "-i", str(disk), f"::{name}", str(path)])
        else:
            run(["debugfs", "-R", f"dump /{name} {path}", str(disk)])
        return path.read_bytes()


def cases(
    tiny: Tiny,
    count: int,
    seed: str,
    kinds: Sequence[str] = KINDS,
    broken: bool = False,
    workers: int = 2,
) -> Iterator[Case]:
    """So many, in rounds, in turn on each kind of filesystem; `workers` rounds side by side."""
    size = min(ROUND, -(-count // len(kinds)))
    rounds = [(first, min(size, count - first)) for first in range(0, count, size)]

    stopping = threading.Event()

    def one(number: int) -> list[Case]:
        first, some = rounds[number]
        if stopping.is_set():
            return []
        with tempfile.TemporaryDirectory(prefix="killtest-") as directory:
            kind = kinds[number % len(kinds)]
            chance = random.Random(f"{seed} {number}")
            done = Round(tiny.at(Path(directory)), kind, some, chance, broken)
            return list(itertools.takewhile(lambda _: not stopping.is_set(), done.cases(first)))

    with ThreadPoolExecutor(workers) as pool:
        try:
            for found in pool.map(one, range(len(rounds))):
                yield from found
        finally:
            stopping.set()  # what is under way ends with its current boot


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(
        prog="./dev killtest",
        description="End installations at random moments, and boot what is there then.",
    )
    parser.add_argument("-n", type=int, default=200, help="how many installations [%(default)s]")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write all of it as JSON")
    parser.add_argument("--seed", default=str(random.randrange(1 << 32)), help="of an earlier run")
    parser.add_argument("--deb", type=Path, required=True, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    lacking = uml.missing()
    if lacking:
        sys.exit("killtest: " + lacking)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    guest = build_guest(chosen.deb, verity=True)
    done: list[Case] = []
    with tempfile.TemporaryDirectory() as directory:
        tiny = Tiny(guest, Path(directory), accel.best(guest.kernel))
        print(f"seed {chosen.seed}", flush=True)
        for case in cases(tiny, chosen.n, chosen.seed):
            done.append(case)
            words = (case.number, case.filesystem, case.kind, case.when, case.booted)
            print(*words, "" if case.ok else "FAILED", flush=True)
            if not case.ok:
                print(case.verify, case.detail, sep="\n", flush=True)
            if chosen.report:
                chosen.report.write_text(json.dumps(_report(chosen, done), indent=1) + "\n")
    print(json.dumps(_report(chosen, done)["summary"]))
    return 0 if done and all(case.ok for case in done) else 1


def _report(chosen: argparse.Namespace, done: list[Case]) -> dict[str, Any]:
    summary: dict[str, Any] = {"n": len(done), "failures": sum(not case.ok for case in done)}
    for case in done:
        key = f"{case.filesystem} {case.kind} {case.booted}"
        summary[key] = summary.get(key, 0) + 1
    return {"seed": chosen.seed, "summary": summary, "cases": [asdict(case) for case in done]}


if __name__ == "__main__":
    sys.exit(main())
