# SPDX-License-Identifier: MIT
"""`./dev boot`: build the Debian guest with the product in it, boot it, report."""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Optional

from harness import accel
from harness.guest import CMDLINE, KERNEL, KERNEL_HELP, RUNTIMES, Guest, guest
from harness.inside.collect import MARKER
from harness.machine import Drive, Options, printable
from harness.privilege import CommandFailed
from harness.vm import VM, Ending, MachineFailure

# In the order in which they happen. In systemd mode the first systemd is the mini-initramfs's.
MARKS = {
    "init": ("t_run_init", "t_stage2_exec", "t_first_systemd", "t_root_systemd", "t_multi_user"),
    "systemd": ("t_run_init", "t_first_systemd", "t_stage2_exec", "t_root_systemd", "t_multi_user"),
}

# Wall clock; about 45 s are usual under emulation on two busy cores.
_TIMEOUT = 300
_TIMEOUT_ICOUNT = 900


@dataclass(frozen=True)
class Booted:
    """A boot that came to the guest's own report."""

    report: dict[str, Any]
    faults: list[str]
    tail: str


def options(built: Guest, append: str = "", smp: int = 2, icount: bool = False) -> Options:
    """The machine that boots this guest."""
    return Options(
        kernel=built.kernel,
        initrd=built.initrd,
        cmdline=f"{CMDLINE} {append}".strip(),
        drives=(Drive(built.disk),),
        smp=smp,
        icount=icount,
        accel="tcg" if icount else accel.best(built.kernel),
        timeout=_TIMEOUT_ICOUNT if icount else _TIMEOUT,
    )


def boot(
    machine: Options,
    keep: Optional[Path] = None,
    watch: bool = False,
    meanwhile: Callable[[VM], object] = lambda vm: None,
) -> Booted:
    """Boot to the guest's report and its power-off. Raises MachineFailure.

    keep: a directory for the console log. watch: print storage-init's lines as they come.
    meanwhile: what to do to the machine while it boots.
    """
    with VM(machine) as vm:
        try:
            meanwhile(vm)
            ending = vm.wait_end(_Watcher() if watch else lambda console: None)
            if ending is not Ending.POWEROFF:
                raise MachineFailure(f"machine: {ending.value}\n{vm.tail()}")
            found = [line for line in vm.report.splitlines() if line.startswith(MARKER)]
            if not found:
                raise MachineFailure(f"machine: powered off without a report\n{vm.tail()}")
        finally:
            if keep:
                (keep / "console.log").write_text(vm.console)
        report: dict[str, Any] = json.loads(found[-1][len(MARKER) :])
        return Booted(report, faults(report), vm.tail())


def faults(report: dict[str, Any]) -> list[str]:
    """What is wrong with a boot: nothing if it came through the overlay and left nothing behind."""
    if "error" in report:
        return ["the guest's report failed: " + report["error"]]
    found = [f"left behind: {line}" for line in report["leftovers"]]
    if "attempt" not in report["boot"]:
        found.append("stage 2 did not run from the overlay: boot.json: " + report["boot"]["error"])
    elif report["boot"]["attempt"] != "image":
        found.append(f"booted by attempt {report['boot']['attempt']}, not image")
    marks = MARKS[report["boot"].get("mode", "init")]
    found += [f"never happened: {name}" for name in marks if name not in report["marks"]]
    times = [report["marks"][name] for name in marks if name in report["marks"]]
    if times != sorted(times):
        found.append(f"in the wrong order: {times}")
    return found


def summary(built: Guest, storage_init: Path, booted: Booted) -> dict[str, Any]:
    """The report in the form that --report writes."""
    report = booted.report
    marks = {name: report.get("marks", {}).get(name) for name in MARKS["init"]}
    return {
        "mode": report.get("boot", {}).get("mode"),
        "kernel": report.get("kernel"),
        "initramfs_bytes": built.initramfs_bytes,
        "plain_initramfs_bytes": built.plain_initramfs_bytes,
        "image_bytes": built.image_bytes,
        "storage_init_bytes": storage_init.stat().st_size,
        **marks,
        "attempt": report.get("boot", {}).get("attempt"),
        "verity": report.get("boot", {}).get("verity") or None,
        "clean": "leftovers" in report and not report["leftovers"],
    }


def table(facts: dict[str, Any]) -> str:
    """The summary for people."""
    lines = []
    for key, value in facts.items():
        if key.endswith("_bytes"):
            name, shown = key[: -len("_bytes")], f"{value / 1e6:9.2f} MB"
        elif key.startswith("t_"):
            name, shown = key[2:], "        -" if value is None else f"{value:9.2f} s"
        elif value is None:
            continue
        else:
            name, shown = key, str(value)
        lines.append(f"  {name.replace('_', ' '):<18} {shown}")
    return "\n".join(lines)


class _Watcher:
    """Prints what storage-init logs while the console grows."""

    def __init__(self) -> None:
        self._shown = 0

    def __call__(self, console: str) -> None:
        lines = console.split("\n")[:-1]
        for line in lines[self._shown :]:
            if "initoverlayfs: " in line:
                print("    " + line, flush=True)
        self._shown = len(lines)


def main(arguments: Sequence[str]) -> int:
    """The program. Returns its exit status."""
    parser = argparse.ArgumentParser(prog="./dev boot", description=__doc__)
    parser.add_argument("--deb", type=Path, required=True, help="the Debian package")
    parser.add_argument("--storage-init", type=Path, required=True, help="the binary, for its size")
    parser.add_argument("--report", type=Path, help="write sizes and marks as JSON to this file")
    parser.add_argument("--kernel", default=KERNEL, help="the guest's: " + KERNEL_HELP)
    parser.add_argument(
        "--mode", choices=list(MARKS), default="init", help="what the mini-initramfs starts"
    )
    parser.add_argument(
        "--runtime", choices=list(RUNTIMES), default="micropython", help="what runs storage-init"
    )
    parser.add_argument("--verity", action="store_true", help="verify the image with dm-verity")
    parser.add_argument("--append", default="", help="words for the kernel command line")
    parser.add_argument("--smp", type=int, default=2, help="virtual CPUs")
    parser.add_argument("--icount", action="store_true", help="virtual time: repeatable, slower")
    parser.add_argument("--keep", action="store_true", help="keep the disk and the console log")
    chosen = parser.parse_args(arguments)
    started = time.monotonic()

    def progress(text: str) -> None:
        print(f"[{time.monotonic() - started:5.1f} s] {text}", flush=True)

    if chosen.report:
        chosen.report.unlink(missing_ok=True)
    try:
        built = guest(
            chosen.deb, progress, chosen.kernel, chosen.mode, chosen.runtime, chosen.verity
        )
        machine = options(built, chosen.append, chosen.smp, chosen.icount)
        keep = None
        if chosen.keep:
            keep = Path(tempfile.mkdtemp(prefix="initoverlayfs-boot-", dir="/var/tmp"))
            shutil.copy(built.disk, keep / "disk")
            machine = replace(machine, drives=(Drive(keep / "disk", snapshot=False),))
        progress(f"booting Linux {built.kver} ({machine.accel}, {machine.smp} CPUs)")
        try:
            booted = boot(machine, keep, watch=True)
        finally:
            if keep:
                again = replace(machine, cmdline=machine.cmdline + " harness.stay")
                print(f"kept: {keep}\nagain, root without a password:\n{printable(again)}")
    except (MachineFailure, CommandFailed, OSError) as error:
        print(f"{error}\nboot: failed", file=sys.stderr)
        return 1
    facts = summary(built, chosen.storage_init, booted)
    print(table(facts))
    for line in booted.report.get("failed_units", ()):
        print(f"  failed unit        {line}")
    if chosen.report:
        chosen.report.write_text(json.dumps(facts, indent=2) + "\n")
    if booted.faults:
        print(booted.tail, file=sys.stderr)
        print("boot: failed:\n  " + "\n  ".join(booted.faults), file=sys.stderr)
        return 1
    progress("multi-user was reached through the overlay; nothing was left behind")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
