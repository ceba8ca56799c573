# SPDX-License-Identifier: MIT
"""docs/performance.md from what was measured: the text is here, every figure is from the JSON.

But for the last part, which is reasons.md.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import memory, runs, steps, targets
from benchmarks.statistics import Figure, ratio, shown, shown_ratio
from benchmarks.variants import PLAIN, VARIANTS

REASONS = Path(__file__).resolve().parent / "reasons.md"

METRICS = {
    **runs.METRICS,
    **memory.METRICS,
    **steps.METRICS,
    "build": ("s", "build, host's clock"),
    "build_cpu": ("s", "build, processor time"),
}

INTRODUCTION = """\
# Performance

Made by `./dev bench` from boots in QEMU; do not edit. To repeat all of it, on a machine that has
little else to do: `./dev bench --all`. `./dev bench --plots` makes this page and its graphs again
from `build/bench.json`, without a boot.

## How it is measured

All variants boot the same Debian 13 guest, and the same root filesystem, in one run and in turns:
A B C, A B C, and so on, so that what else the host does hits all alike. Times are the kernel's own,
from its start; the bootloader's part is in [the full chain](#the-full-chain) only.

- **Virtual time** (QEMU's icount: one processor, a nanosecond an instruction, no time while nothing
  runs). It counts work, repeats well, and is what is claimed here. It knows no caches and no
  waiting for memory, the bytes of the initramfs are in memory from the start, and disks answer at
  once, so that nothing is won here by reading less. The timer's tick never stops (`nohz=off`): a
  guest that does wait for a busy host would otherwise jump seconds ahead.
  Machines run beside each other, one for each processor of the host (`jobs`).
- **The host's clock** (two processors, one machine at a time). It is there to see that the other
  one does not mislead; it depends on what else the host does.

A figure is a median, with the least and the greatest value behind it. A ratio is to plain dracut,
of the medians, and is not given, but `~`, where the intervals from the least to the greatest value
of both overlap, or where a time was taken once only. A target is *ok* where even the greatest value
meets it against the least of the other; where the spread leaves that open, it says so.
"""

MEMORY = """\
Boots of their own, which are not timed. *In use* is MemTotal less what is free and the file cache
that can be dropped, looked at every 20 ms from the first process on; an unpacked initramfs counts.
*Needed* is the smallest machine, in steps of 8 MiB, that gets to the first systemd with its
initramfs complete and nothing killed; the kernel itself is part of that. It contains the peak while
the initramfs is unpacked, which no process could look at. Single boots: memory repeats.
"""

SECTIONS = {
    "variants": "virtual time",
    "cpu": "virtual time, a processor with instructions for SHA-256",
    "kernel": "virtual time, a kernel that has dm-verity built in",
    "wall": "the host's clock",
}

STEPS = """\
When each is done, in seconds since the kernel started storage-init, virtual time. With one
processor modules are loaded one after the other, each before the step that needs it.
"""

GROW = """\
Files of random bytes that no boot reads, in plain dracut's initramfs and in the image. All machines
have the same memory. Seconds to the first systemd, virtual time:
"""

CHAIN = """\
UEFI firmware (OVMF) and systemd-boot load kernel and initramfs from a disk that gives no more than
{rate} MB/s, as an eMMC does; so what is not loaded counts. Seconds since QEMU's start, the host's
clock, emulated: firmware under emulation is slow in itself, so the differences say more than the
ratios.
"""

BUILDS = """\
Plain `dracut -f` and `initoverlayfs-install -f`, which makes both images, take turns in one tree.
Processor time is that of all processes; the host's clock depends on what else it does.
"""


def table(found: Mapping[str, Mapping[str, Figure]], metrics: Sequence[str]) -> list[str]:
    """A table of variants and some metrics: median, spread, ratio to plain dracut."""
    names = [name for name in metrics if any(name in one for one in found.values())]
    units = {"s": "s", "B": "MB"}
    heads = [f"{name.replace('_', ' ')}, {units[METRICS[name][0]]}" for name in names]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(names)]
    for variant, one in found.items():
        cells = [_cell(found, variant, name) if name in one else "-" for name in names]
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    return lines


def _cell(found: Mapping[str, Mapping[str, Figure]], variant: str, name: str) -> str:
    unit = METRICS[name][0]
    text = shown(found[variant][name], unit)
    base = found.get(PLAIN, {}).get(name)
    if variant == PLAIN or base is None:
        return text
    return f"{text} **{shown_ratio(ratio(found[variant][name], base, unit == 's'))}**"


def headed(header: Mapping[str, Any]) -> str:
    """A sentence about how a section was made."""
    options = ", ".join(f"{name} {value}" for name, value in header.get("options", {}).items())
    text = f"Linux {header.get('kernel')}, QEMU {header.get('qemu')}, commit {header.get('commit')}"
    return f"{text}; {options}." if options else text + "."


def page(known: Mapping[str, Any], native: Mapping[str, Any], graphs: Sequence[str] = ()) -> str:
    """The whole page. native: build/native.json's rows. graphs: those that plots.py has drawn."""
    lines = [INTRODUCTION, "| variant | |", "|---|---|"]
    lines += [f"| {one.name} | {one.about} |" for one in VARIANTS]
    lines += ["", "## What was to be reached", "", "| what | target | measured | |"]
    lines.append("|---|---|---|---|")
    for row in targets.rows(known, native):
        lines.append(f"| {row.what} | {row.target} | {row.measured} | {row.verdict} |")
    lines += ["", *wins(known)]
    for section, title in SECTIONS.items():
        lines += boots(known, section, title)
    if "timeline" in graphs:
        lines += ["![What a boot does until when](bench-timeline.svg)", ""]
    lines += others(known, native, graphs)
    lines += ["", *REASONS.read_text().splitlines()]
    return "\n".join(lines).rstrip("\n") + "\n"


def boots(known: Mapping[str, Any], section: str, title: str) -> list[str]:
    """The part about whole boots by one clock; nothing where there are none."""
    found = targets.variants_of(known, section)
    if not found:
        return []
    header = known["header"] if section == "variants" else known[section]["header"]
    times = [name for name, (unit, _) in runs.METRICS.items() if unit == "s"]
    lines = [f"## Boots, {title}", "", headed(header), "", *table(found, times), ""]
    if section == "variants":
        sizes = [name for name, (unit, _) in runs.METRICS.items() if unit == "B"]
        lines += ["What is loaded and freed, with ratios to plain dracut:", ""]
        lines += [*table(found, sizes), ""]
        lines += [
            f"- *{name.replace('_', ' ')}*: {text}"
            for name, (_, text) in METRICS.items()
            if name in runs.METRICS
        ]
        lines.append("")
    return lines


def others(known: Mapping[str, Any], native: Mapping[str, Any], graphs: Sequence[str]) -> list[str]:
    """The parts about steps, memory, growth, the whole chain, building, and storage-init alone."""
    lines: list[str] = []
    if "steps" in known:
        lines += ["## The steps of stage 1", "", headed(known["steps"]["header"]), "", STEPS]
        lines += [*table(known["steps"]["variants"], list(steps.METRICS)), ""]
        lines += [f"- *{name}*: {text}" for name, (_, text) in steps.METRICS.items()]
        lines.append("")
    if "memory" in known:
        lines += ["## Memory, and what is read from disks", "", headed(known["memory"]["header"])]
        lines += ["", MEMORY, *table(known["memory"]["variants"], list(memory.METRICS)), ""]
        lines += ["![Memory](bench-memory.svg)", ""] if "memory" in graphs else []
    if "grow" in known:
        points: Mapping[str, Mapping[str, Figure]] = known["grow"]["points"]
        lines += ["## Growth", "", headed(known["grow"]["header"]), "", GROW]
        lines += ["| more, MiB | " + " | ".join(points) + " |", "|---|" + "---|" * len(points)]
        for size in next(iter(points.values())):
            shown_points = [shown(one.get(size), "s") for one in points.values()]
            lines.append(f"| {size} | " + " | ".join(shown_points) + " |")
        lines += ["", "![Time and size](bench-size.svg)"] if "size" in graphs else []
        lines.append("")
    if "chain" in known:
        rate = known["chain"]["header"]["options"]["mb_per_second"]
        lines += ["## The full chain", "", headed(known["chain"]["header"]), ""]
        lines += [CHAIN.format(rate=rate), *table(known["chain"]["variants"], list(METRICS)), ""]
    if "builds" in known:
        lines += ["## Building", "", headed(known["builds"]["header"]), "", BUILDS]
        lines += [*table(known["builds"]["variants"], ["build", "build_cpu"]), ""]
    if native:
        lines += ["## storage-init by itself", "", "Natively, by `benchmarks/native.py`:", ""]
        lines += ["| | median | least | greatest | runs |", "|---|---|---|---|---|"]
        for name, row in native.items():
            cells = " | ".join(f"{row[key]:g}" for key in ("median", "min", "max"))
            lines.append(f"| {name}, {row['unit']} | {cells} | {row['n']} |")
    return lines


def wins(known: Mapping[str, Any]) -> list[str]:
    """Where it is ahead of plain dracut, where it is behind, where that is not known."""
    groups: dict[str, list[str]] = {
        "Ahead": [],
        "Behind": [],
        "Within the spread": [],
        "Taken once": [],
    }
    found = targets.variants_of(known, "variants")
    for variant, one in found.items():
        for name in ("run_init", "first_systemd", "root_systemd", "multi_user"):
            base = found.get(PLAIN, {}).get(name)
            if variant == PLAIN or base is None or name not in one:
                continue
            if name == "first_systemd" and one[name] == one.get("root_systemd"):
                continue  # the root filesystem's: no initrd's to be compared with plain's
            value = ratio(one[name], base)
            text = f"{variant} at {name.replace('_', ' ')}"
            if min(one[name]["n"], base["n"]) < 2:
                groups["Taken once"].append(text)
            elif value is None:
                groups["Within the spread"].append(text)
            else:
                groups["Ahead" if value < 1 else "Behind"].append(f"{text} ({value:.2f}x)")
    if not any(groups.values()):
        return []
    lines = ["## Where it wins, and where it does not", "", "Virtual time, against plain dracut:"]
    lines += ["", *(f"- {group}: {', '.join(texts)}." for group, texts in groups.items() if texts)]
    return [*lines, ""]
