# SPDX-License-Identifier: MIT
"""Inject faults into a machine, compare outcomes with promises, and write the table of faults.

The machine has every fallback: the image that its binding names, the previous image, and a root
filesystem on a second disk, which the kernel command line names.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from harness.machine import Drive
from harness.mini import Mini
from harness.running import Ending, Running
from harness.tiny import Outcome, Tiny, image

ROOT_UUID = "1f0e0000-0000-4000-8000-0000000071f0"
OLD_UUID = "1f0e0000-0000-4000-8000-00000000071d"
ROOT_WORDS = f"root=UUID={ROOT_UUID} rw init=/greeting"

# The possible outcomes of a boot. judge() derives the outcome from stage 2's report and the log.
IMAGE = "the image boots"
PREVIOUS = "the previous image boots"
DIRECT = "the root filesystem boots, without an image"
STOPS = "the reason on the console, then power-off"

# The kernel's decompressor resets the machine before it has a console.
NO_KERNEL = "the kernel itself does not start, and the machine resets"

# Seconds for which storage-init shows the reason on the console before it powers off.
DELAY = 10.0


@dataclass
class Machine:
    """A machine before its boot. The function that injects the fault changes it."""

    tiny: Tiny
    mini: Mini
    files: dict[str, Path]
    words: str = ROOT_WORDS
    disks: list[Drive] = field(default_factory=list)
    memory: int = 512
    console: bool = True
    keyboard: bool = False
    meanwhile: Callable[[Running], None] = lambda running: None
    # Return the drive for the boot disk at a path, or None to leave it out; called before the boot.
    drive: Callable[[Path], Optional[Drive]] = Drive

    @property
    def image(self) -> Path:
        """Path of the image that is copied to the disk. Replace it, do not change the file."""
        return self.files[self.tiny.name]

    @image.setter
    def image(self, path: Path) -> None:
        self.files[self.tiny.name] = path

    def altered(self, change: Callable[[bytearray], object]) -> None:
        """Replace the image by a copy that change() has modified."""
        content = bytearray(self.image.read_bytes())
        change(content)
        self.image = self.tiny.directory / "altered.img"
        self.image.write_bytes(content)


@dataclass(frozen=True)
class Fault:
    """A fault: its name, the promised outcome, and the function that injects it.

    bound: seconds from storage-init's first line to the exec of the next init, or to the power-off.
    says: a pattern that a line of the log must match. sees: a key of stage 2's greeting and its
    expected value. verified: the image has a hash tree. platforms: where the fault is tested; QEMU
    if it requires a device, Debian's kernel or its modules.
    """

    name: str
    promised: str
    happens: Callable[[Machine], object]
    says: str = ""
    bound: float = 10.0
    verified: bool = False
    sees: tuple[str, str] = ("", "")
    platforms: tuple[str, ...] = ("uml",)


def machine(tiny: Tiny, verified: bool) -> Machine:
    """Return the machine without a fault. verified: its image has a hash tree."""
    good, words = tiny.image, ""
    if verified:
        good, words = tiny.with_hash_tree(tiny.image)
    previous = image(tiny.directory / "previous.img", tiny.greeting, OLD_UUID, "previous")
    greeting = tiny.directory / "greeting"
    greeting.write_bytes(tiny.greeting.read_bytes())
    greeting.chmod(0o755)
    root = tiny.disk(uuid=ROOT_UUID, files={"greeting": greeting})
    mini = tiny.identified(good, words, more="emergency poweroff\ntimeout 5\n")
    files = {tiny.name: good, tiny.name + ".previous": previous}
    return Machine(tiny, mini, files, disks=[Drive(root)])


def run(fault: Fault, tiny: Tiny, platform: str) -> dict[str, Any]:
    """Inject the fault, boot, and return the result. platform: its name, as in Fault.platforms.

    The result is {fault, platform, promised, bound, observed, ok, seconds, console}.

    Raises MachineFailure if the machine hangs or the kernel panics.
    """
    built = machine(tiny, fault.verified)
    fault.happens(built)
    drive = built.drive(tiny.disk(files=built.files))
    outcome = tiny.boot(
        built.mini,
        [*([drive] if drive else []), *built.disks],
        built.words,
        meanwhile=built.meanwhile,
        memory=built.memory,
        console=built.console,
        keyboard=built.keyboard,
    )
    observed, seconds = judge(outcome)
    said = not fault.says or any(re.search(fault.says, line) for line in outcome.lines)
    key, value = fault.sees
    if key and outcome.greeting.get(key) != [value]:
        observed += f", and {key} is {outcome.greeting.get(key)}"
    return {
        "fault": fault.name,
        "platform": platform,
        "promised": fault.promised,
        "bound": fault.bound,
        "observed": observed if said else observed + f", without a line {fault.says!r}",
        "ok": said and observed == fault.promised and seconds <= fault.bound,
        "seconds": round(seconds, 1),
        "console": outcome.console,
    }


def judge(outcome: Outcome) -> tuple[str, float]:
    """Return the outcome of a boot, and its duration in seconds of the machine's own clock."""
    times = [
        float(found.group(1))
        for found in re.finditer(r"\[\s*([0-9.]+)\] initoverlayfs: ", outcome.console)
    ]
    seconds = times[-1] - times[0] if times else 0.0
    if outcome.greeted and outcome.ending is Ending.POWEROFF:
        return {"image": IMAGE, "previous": PREVIOUS, "direct": DIRECT}.get(
            outcome.boot["attempt"], "unknown"
        ), seconds
    if outcome.ending is Ending.POWEROFF and "no way to boot left: poweroff" in outcome.console:
        return STOPS, seconds + DELAY
    if outcome.ending is Ending.RESET and not outcome.console:
        return NO_KERNEL, seconds
    return f"{outcome.ending}, no stage 2", seconds


def page(results: Sequence[dict[str, Any]]) -> str:
    """Return the table of results as a page of the documentation."""
    lines = [
        "# Faults",
        "",
        "Made by `./dev faults`; do not edit. Each row is one boot of a machine that has an image,",
        "the previous image, and a root filesystem that the kernel command line names. Its",
        "platform is user-mode Linux (uml) or QEMU with Debian's kernel (qemu). *Within* and",
        "*after* are seconds of the machine's own clock from storage-init's first line to the exec",
        "of the next init, or to the power-off. `./dev faults` fails if a boot panics or hangs. A",
        "machine without a console shows no times.",
        "",
        "| fault | platform | promised | within | observed | after | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results:
        mark = "ok" if row["ok"] else "**no**"
        after = f"{row['seconds']:.1f} s" if row["seconds"] else "-"
        lines.append(
            f"| {row['fault']} | {row['platform']} | {row['promised']} | {row['bound']:.0f} s"
            f" | {row['observed']} | {after} | {mark} |"
        )
    return "\n".join(lines) + "\n"
