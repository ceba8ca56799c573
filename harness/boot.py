# SPDX-License-Identifier: MIT
"""Build a Debian guest with initoverlayfs installed, boot it, and report sizes and times."""

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

# Events of a boot in each mode, in the expected order. In systemd mode the first systemd is the one
# of the mini-initramfs, which starts before stage 2.
MARKS = {
    "init": ("t_run_init", "t_stage2_exec", "t_first_systemd", "t_root_systemd", "t_multi_user"),
    "systemd": ("t_run_init", "t_first_systemd", "t_stage2_exec", "t_root_systemd", "t_multi_user"),
}

# Seconds of wall-clock time. Under emulation on two busy processors, a boot takes about 45 s.
_TIMEOUT = 300
_TIMEOUT_ICOUNT = 900


@dataclass(frozen=True)
class Booted:
    """A boot that ended with the guest's report. faults: see faults(). tail: the console's end."""

    report: dict[str, Any]
    faults: list[str]
    tail: str


def options(built: Guest, append: str = "", smp: int = 2, icount: bool = False) -> Options:
    """Return the machine that boots this guest. append: words for the kernel command line."""
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
    """Boot a machine until the guest has written its report and powered off.

    keep: a directory for the console log. watch: print storage-init's log lines as they appear.
    meanwhile: called with the running machine. Raises MachineFailure if the machine ends otherwise.
    """
    with VM(machine) as vm:
        try:
            meanwhile(vm)
            ending = vm.wait_end(_Watcher() if watch else lambda console: None)
            if ending is not Ending.POWEROFF:
                raise MachineFailure(f"machine: {ending.value}\n{vm.tail()}")
            found = [line for line in vm.report.splitlines() if line.startswith(MARKER)]
            if not found:
                raise MachineFailure(f"machine: guest powered off without a report\n{vm.tail()}")
        finally:
            if keep:
                (keep / "console.log").write_text(vm.console)
        report: dict[str, Any] = json.loads(found[-1][len(MARKER) :])
        return Booted(report, faults(report), vm.tail())


def faults(report: dict[str, Any]) -> list[str]:
    """Return the faults in the report of a boot, a line each.

    There are no faults if stage 2 ran from the overlay, all events happened in order, and no mount
    or device of stages 1 and 2 remains.
    """
    if "error" in report:
        return ["guest: cannot collect the report: " + report["error"]]
    found = [f"leftover: {line}" for line in report["leftovers"]]
    if "attempt" not in report["boot"]:
        found.append("stage 2 did not run from the overlay: boot.json: " + report["boot"]["error"])
    elif report["boot"]["attempt"] != "image":
        found.append(f"booted by attempt {report['boot']['attempt']} instead of image")
    marks = MARKS[report["boot"].get("mode", "init")]
    found += [f"event missing: {name}" for name in marks if name not in report["marks"]]
    times = [report["marks"][name] for name in marks if name in report["marks"]]
    if times != sorted(times):
        found.append(f"events in the wrong order: {times}")
    return found


def summary(built: Guest, storage_init: Path, booted: Booted) -> dict[str, Any]:
    """Return the facts that --report writes as JSON: sizes in bytes, times in seconds."""
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


# Keys of the summary, and what they are called for people.
_NAMES = {
    "mode": "mode of the mini-initramfs",
    "initramfs_bytes": "initramfs that the boot loader loads",
    "plain_initramfs_bytes": "plain initramfs, for comparison",
    "image_bytes": "image on the boot filesystem",
    "storage_init_bytes": "storage-init",
    "t_run_init": "storage-init starts",
    "t_stage2_exec": "storage-init executes stage 2's init",
    "t_first_systemd": "first systemd starts",
    "t_root_systemd": "root filesystem's systemd starts",
    "t_multi_user": "multi-user is reached",
    "attempt": "booted by attempt",
    "verity": "verified by root hash",
}


def table(facts: dict[str, Any]) -> str:
    """Return the summary as lines of text, without empty values. Times count from the kernel's."""
    lines = []
    for key, value in facts.items():
        if key == "clean":
            name, shown = "leftovers of stages 1 and 2", "none" if value else "yes"
        elif key.endswith("_bytes"):
            name, shown = _NAMES[key], f"{value / 1e6:.2f} MB"
        elif key.startswith("t_"):
            name, shown = _NAMES[key], "-" if value is None else f"{value:.2f} s"
        elif value is None:
            continue
        else:
            name, shown = _NAMES.get(key, key), str(value)
        lines.append(f"  {name:<38} {shown:>12}")
    return "\n".join(lines)


class _Watcher:
    """Print storage-init's log lines as they appear on the console."""

    def __init__(self) -> None:
        self._shown = 0

    def __call__(self, console: str) -> None:
        lines = console.split("\n")[:-1]
        for line in lines[self._shown :]:
            if "initoverlayfs: " in line:
                print("    " + line, flush=True)
            if line.endswith("initoverlayfs: exec /init"):
                print(
                    "    stage 2 runs: under emulation, the rest takes a minute or two", flush=True
                )
        self._shown = len(lines)


def main(arguments: Sequence[str]) -> int:
    """Build and boot the guest, and print the report. Return the exit status: 1 for any fault."""
    parser = argparse.ArgumentParser(prog="./dev boot", description=__doc__)
    # ./dev passes these two: the package to install, and the binary whose size is reported.
    parser.add_argument("--deb", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--storage-init", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help="write sizes and times as JSON to this file")
    parser.add_argument("--kernel", default=KERNEL, help="kernel of the guest: " + KERNEL_HELP)
    parser.add_argument(
        "--mode", choices=list(MARKS), default="init", help="init of the mini-initramfs [init]"
    )
    parser.add_argument(
        "--runtime",
        choices=list(RUNTIMES),
        default="micropython",
        help="interpreter of storage-init [micropython]",
    )
    parser.add_argument("--verity", action="store_true", help="verify the image with dm-verity")
    parser.add_argument("--append", default="", help="add words to the kernel command line")
    parser.add_argument("--smp", type=int, default=2, help="number of virtual processors [2]")
    parser.add_argument(
        "--icount", action="store_true", help="run in virtual time: repeatable, but slower"
    )
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
        progress(f"booting Linux {built.kver} ({machine.accel}, {machine.smp} processors)")
        try:
            booted = boot(machine, keep, watch=True)
        finally:
            if keep:
                again = replace(machine, cmdline=machine.cmdline + " harness.stay")
                print(f"disk and console log are in {keep}")
                print(f"to boot again and log in as root without a password:\n{printable(again)}")
    except (MachineFailure, CommandFailed, OSError) as error:
        print(f"{error}\nboot failed", file=sys.stderr)
        return 1
    facts = summary(built, chosen.storage_init, booted)
    print(table(facts))
    for line in booted.report.get("failed_units", ()):
        print(f"  {'failed unit':<38} {line}")
    if chosen.report:
        chosen.report.write_text(json.dumps(facts, indent=2) + "\n")
    if booted.faults:
        print(booted.tail, file=sys.stderr)
        print("boot failed:\n  " + "\n  ".join(booted.faults), file=sys.stderr)
        return 1
    progress("reached multi-user.target through the overlay, without leftovers")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
