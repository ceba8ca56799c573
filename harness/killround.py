# SPDX-License-Identifier: MIT
"""Run initoverlayfs-install on a boot filesystem, and interrupt each run at a random moment.

The runs are in user-mode Linux (inside/killtest.py). A run is killed with SIGKILL, or its disk
loses power: all writes after the last flush are dropped.
"""

import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

from harness import blocklog, bootdisk, cpio, uml
from harness.killcase import Case, Looker
from harness.privilege import CommandFailed, run
from harness.running import MachineFailure
from harness.tiny import Tiny, image
from storage_init.formats.binding import PATH

MIB = 1 << 20
SIZE = 96 * MIB

_ROOT = Path(__file__).resolve().parent.parent
_PLAIN = cpio.write([cpio.entry("init", b"plain")])


class Round:
    """A series of runs on a new boot filesystem, and the disks that the runs leave behind.

    Every third run is a rollback, the others are installations. broken: the program writes files in
    place.
    """

    def __init__(
        self, tiny: Tiny, kind: str, count: int, chance: random.Random, broken: bool = False
    ) -> None:
        self.tiny = tiny
        self.kind = kind
        self.chance = chance
        self.directory = tiny.directory
        self.release = tiny.platform.release
        self.empty = self.directory / "empty"
        self.log = self.directory / "log"
        self.ids: dict[str, str] = {}
        self.verity: list[bool] = []
        self._make_filesystem()
        # These runs are not interrupted. They make the first pairs, and the times of later kills
        # depend on their durations.
        self.actions = ["install", "install", "rollback"]
        self.prepared = len(self.actions)
        self.actions += ["install" if number % 3 != 1 else "rollback" for number in range(count)]
        kills = [chance.uniform(0.05, 1.1) if chance.random() < 0.5 else None for _ in self.actions]
        kills[: self.prepared] = [None] * self.prepared
        self.results = self._run(kills, broken)
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
        """Build a pair, and return its directory.

        The image contains the number of the pair in etc/initrd-release.
        """
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
        self.verity[number] = self.chance.random() < 0.3
        if self.verity[number]:
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

    def _run(self, kills: Sequence[Optional[float]], broken: bool) -> list[dict[str, Any]]:
        disk = self.directory / "disk"
        run(["cp", str(self.empty), str(disk)])
        with self.log.open("wb") as file:
            file.truncate(2048 * MIB)  # sparse
        runs = []
        for number, (action, kill) in enumerate(zip(self.actions, kills)):
            self.verity.append(False)
            prepared = str(self._prepare(number)) if action == "install" else None
            runs.append({"prepared": prepared, "kill": kill})
        task = {
            "fstype": self.kind,
            "uuid": bootdisk.UUIDS[self.kind],
            "sectors": SIZE // blocklog.SECTOR,
            "release": self.release,
            "broken": broken,
            "runs": runs,
        }
        script = Path(__file__).parent / "inside/killtest.py"
        system = uml.Uml(self.directory, script, sys.executable, str(_ROOT))
        results: list[dict[str, Any]] = system.run([disk, self.log], task)
        for number, result in enumerate(results):
            if result["status"] not in (0, -9):
                output = (self.directory / f"out/output-{number}").read_text()
                raise MachineFailure(f"{self.actions[number]} {number} failed:\n{output}")
        return results

    def cases(self, first: int) -> Iterator[Case]:
        """Yield the judged cases, numbered from `first`."""
        looker = Looker(self.tiny, self.kind, self.ids)
        for index in range(self.prepared, len(self.results)):
            killed = self.results[index]["status"] == -9
            action = self.actions[index]
            case = Case(
                first + index - self.prepared,
                self.kind,
                action,
                "kill" if killed else "power",
                "",
                self.verity[index],
            )
            start, end = self.marks[f"start-{index}"], self.marks[f"end-{index}"]
            if killed:
                case.when = f"after {100 * self.results[index]['share']:.0f} % of the time"
                lasting = self.entries[: self.marks[f"synced-{index}"]]
            else:
                cut = self.chance.randrange(start, end + 1)
                case.when = f"after write {cut - start} of {end - start}"
                lasting = blocklog.survives(self.entries, cut)
            try:
                before = looker.before(self._disk(self.entries[:start], "start"), action)
                looker.look(case, self._disk(lasting, "state"), {str(index): "new", **before})
            except (MachineFailure, CommandFailed, OSError) as seen:
                case.detail = str(seen)
            yield case

    def torn(self) -> list[str]:
        """Return the output of --verify for each moment at which a power cut leaves a broken pair.

        A pair is broken if the boot loader loads anything but a whole mini-initramfs, or if
        --verify fails.
        """
        built = [path.read_bytes() for path in self.directory.glob("prepared-*/mini")]
        looker = Looker(self.tiny, self.kind, self.ids)
        found = []
        for index in range(self.prepared, len(self.results)):
            start, end = self.marks[f"start-{index}"], self.marks[f"end-{index}"]
            states = {}  # number of persistent writes -> its last moment
            for cut in range(start, end + 1):
                lasting = blocklog.survives(self.entries, cut)
                states[len(lasting)] = (cut, lasting)
            for cut, lasting in states.values():
                disk = self._disk(lasting, "state")
                status, text = looker.verify(disk)
                if status or looker.loaded(disk) not in built:
                    found.append(f"{self.actions[index]} {index}, write {cut - start}:\n{text}")
        return found

    def _disk(self, entries: Sequence[blocklog.Entry], name: str) -> Path:
        path = self.directory / name
        run(["cp", str(self.empty), str(path)])
        blocklog.replay(self.log, entries, path)
        return path
