# SPDX-License-Identifier: MIT
"""Write docs/performance.md: prose from here and from reasons.md, figures from build/bench.json."""

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
    "build": ("s", "wall-clock time of the build"),
    "build_cpu": ("s", "processor time of the build"),
}

INTRODUCTION = """\
# Performance

`./dev bench` writes this page from boots in QEMU: do not edit it. `./dev bench --all` repeats the
measurements, except those with another processor (`--cpu`) or kernel (`--kernel`). Keep the machine
otherwise idle. `./dev bench --plots` rewrites the page and its graphs from `build/bench.json`
without booting anything.

## Method

All variants boot the same Debian 13 guest with the same root filesystem. They take turns, so that
other load on the host affects all of them alike. Times start with the kernel. Only [the full
chain](#the-full-chain) includes firmware and boot loader.

There are two clocks:

- **Virtual time** (QEMU's icount) advances by a nanosecond per instruction, on one processor, and
  skips to the next timer when the guest is idle. It measures work and repeats well, so most
  targets use it. It ignores caches, memory latency and disk latency, and the initramfs is in
  memory from the start: reading less from a disk gains nothing here. The timer tick is kept
  running (`nohz=off`), because a guest that waits for a busy host would otherwise skip seconds.
  One machine runs per processor of the host (`jobs`).
- **Wall clock**, with two processors and one machine at a time, depends on the load of the host.
  It shows whether virtual time is misleading.

A figure is a median, followed by the minimum and the maximum if they differ. A ratio divides a
median by plain dracut's. `~` replaces the ratio if the two ranges overlap, or if a time was
measured once.

A target is *ok* if even the maximum meets it, compared with the minimum of the baseline. It is
*within the spread* if the ranges leave that open.

## Variants
"""

MEMORY = """\
These boots are not timed. *In use* is MemTotal minus free memory and reclaimable file cache,
sampled every 20 ms from the first process on. An unpacked initramfs counts as in use. *Needed* is
the memory of the smallest machine, in steps of 8 MiB, that reaches the first systemd with a
complete initramfs and without killing a process. It includes the kernel, and the peak during
unpacking, which no process could sample. Each machine boots once, because memory use repeats.
"""

SECTIONS = {
    "variants": "virtual time",
    "cpu": "virtual time, processor with SHA-256 instructions",
    "kernel": "virtual time, kernel with built-in dm-verity",
    "wall": "wall clock",
}

STEPS = """\
Seconds of virtual time from the start of storage-init to the end of each step. On one processor
modules are loaded one after the other, each before the step that needs it.
"""

GROW = """\
Seconds of virtual time to the first systemd, with files of random bytes that no boot reads in
plain dracut's initramfs and in the image. All machines have the same memory.
"""

CHAIN = """\
UEFI firmware (OVMF) and systemd-boot load kernel and initramfs from a disk limited to {rate} MB/s,
about the speed of an eMMC, so that the size of the initramfs matters. Seconds of wall-clock time
from QEMU's start. Emulated firmware is slow, so compare the differences and not the ratios.
"""

BUILDS = """\
Plain `dracut -f` builds one initramfs, `initoverlayfs-install -f` builds the mini-initramfs and
the image. They take turns in the same tree. Processor time includes all child processes.
Wall-clock time depends on the load of the host.
"""

COMPARED = """\
Virtual time. The next section has the ratios. Variants without a systemd in the initramfs are not
compared at the first systemd.
"""

NATIVE = """\
storage-init and a C program that does the same work (`benchmarks/native.c`) boot in turns in
namespaces of this machine, without QEMU (`./dev bench-native`).
"""


def table(found: Mapping[str, Mapping[str, Figure]], metrics: Sequence[str]) -> list[str]:
    """Return a table of variants and metrics: median, spread, ratio to plain dracut."""
    names = [name for name in metrics if any(name in one for one in found.values())]
    units = {"s": "s", "B": "MB"}
    heads = [f"{name.replace('_', ' ')}, {units[METRICS[name][0]]}" for name in names]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(names)]
    for variant, one in found.items():
        cells = [_cell(found, variant, name) if name in one else "-" for name in names]
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    return lines


def legend(metrics: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return a line for each metric that says what it measures."""
    return [f"- *{name.replace('_', ' ')}*: {text}" for name, (_, text) in metrics.items()]


def _cell(found: Mapping[str, Mapping[str, Figure]], variant: str, name: str) -> str:
    unit = METRICS[name][0]
    text = shown(found[variant][name], unit)
    base = found.get(PLAIN, {}).get(name)
    if variant == PLAIN or base is None:
        return text
    return f"{text} **{shown_ratio(ratio(found[variant][name], base, unit == 's'))}**"


def headed(header: Mapping[str, Any]) -> str:
    """Return a sentence with the kernel, QEMU, commit and options of a section."""
    options = ", ".join(f"{name} {value}" for name, value in header.get("options", {}).items())
    text = f"Linux {header.get('kernel')}, QEMU {header.get('qemu')}, commit {header.get('commit')}"
    return f"{text}; {options}." if options else text + "."


def page(known: Mapping[str, Any], native: Mapping[str, Any], graphs: Sequence[str] = ()) -> str:
    """Return the page.

    native: the rows of build/native.json. graphs: the names of the graphs that plots.py drew.
    """
    lines = [INTRODUCTION, "| variant | boots |", "|---|---|"]
    lines += [f"| {one.name} | {one.about} |" for one in VARIANTS]
    lines += ["", "## Targets", "", "| metric | target | measured | verdict |"]
    lines.append("|---|---|---|---|")
    for row in targets.rows(known, native):
        lines.append(f"| {row.what} | {row.target} | {row.measured} | {row.verdict} |")
    lines += ["", *wins(known)]
    for section, title in SECTIONS.items():
        lines += boots(known, section, title)
    if "timeline" in graphs:
        lines += ["![Stages of a boot](bench-timeline.svg)", ""]
    lines += others(known, native, graphs)
    lines += ["", *REASONS.read_text().splitlines()]
    return "\n".join(lines).rstrip("\n") + "\n"


def boots(known: Mapping[str, Any], section: str, title: str) -> list[str]:
    """Return the lines about whole boots of one section, or none if it has no figures."""
    found = targets.variants_of(known, section)
    if not found:
        return []
    header = known["header"] if section == "variants" else known[section]["header"]
    times = [name for name, (unit, _) in runs.METRICS.items() if unit == "s"]
    lines = [f"## Boots, {title}", "", headed(header), "", *table(found, times), ""]
    if section == "variants":
        sizes = [name for name, (unit, _) in runs.METRICS.items() if unit == "B"]
        lines += ["Sizes:", ""]
        lines += [*table(found, sizes), ""]
        lines += [*legend(runs.METRICS), ""]
    return lines


def others(known: Mapping[str, Any], native: Mapping[str, Any], graphs: Sequence[str]) -> list[str]:
    """Return the lines about everything but whole boots: steps, memory, growth, and so on."""
    lines: list[str] = []
    if "steps" in known:
        lines += ["## The steps of stage 1", "", headed(known["steps"]["header"]), "", STEPS]
        lines += [*table(known["steps"]["variants"], list(steps.METRICS)), ""]
        lines += [*legend(steps.METRICS), ""]
    if "memory" in known:
        lines += ["## Memory and disk reads", "", headed(known["memory"]["header"])]
        lines += ["", MEMORY, *table(known["memory"]["variants"], list(memory.METRICS)), ""]
        lines += [*legend(memory.METRICS), ""]
        lines += ["![Memory](bench-memory.svg)", ""] if "memory" in graphs else []
    if "grow" in known:
        points: Mapping[str, Mapping[str, Figure]] = known["grow"]["points"]
        lines += ["## Growth", "", headed(known["grow"]["header"]), "", GROW]
        lines += [
            "| unused content, MiB | " + " | ".join(points) + " |",
            "|---|" + "---|" * len(points),
        ]
        for size in next(iter(points.values())):
            shown_points = [shown(one.get(size), "s") for one in points.values()]
            lines.append(f"| {size} | " + " | ".join(shown_points) + " |")
        lines += (
            ["", "![First systemd by unused content](bench-size.svg)"] if "size" in graphs else []
        )
        lines.append("")
    if "chain" in known:
        rate = known["chain"]["header"]["options"]["mb_per_second"]
        lines += ["## The full chain", "", headed(known["chain"]["header"]), ""]
        lines += [CHAIN.format(rate=rate), *table(known["chain"]["variants"], list(METRICS)), ""]
    if "builds" in known:
        lines += ["## Building", "", headed(known["builds"]["header"]), "", BUILDS]
        lines += [*table(known["builds"]["variants"], ["build", "build_cpu"]), ""]
    if native:
        lines += ["## storage-init alone", "", NATIVE]
        lines += ["| | median | minimum | maximum | runs |", "|---|---|---|---|---|"]
        for name, row in native.items():
            cells = " | ".join(_plain(row[key]) for key in ("median", "min", "max"))
            unit = f", {row['unit']}" if row["unit"] else ""
            lines.append(f"| {name}{unit} | {cells} | {row['n']} |")
    return lines


def _plain(value: float) -> str:
    """Return a number with three significant digits, an integer below a million with all."""
    if value >= 1e6:
        return f"{value / 1e6:.3g} million"
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"


# Marks of a boot that are compared with plain dracut.
_MARKS = ("run_init", "first_systemd", "root_systemd", "multi_user")

# The columns of the table of comparisons.
_HEADS = _FASTER, _SLOWER, _OPEN, _ONCE = "faster", "slower", "ranges overlap", "measured once"


def wins(known: Mapping[str, Any]) -> list[str]:
    """Return a table of the variants that are faster and slower than plain dracut at each mark."""
    found = targets.variants_of(known, "variants")
    rows = {mark: compared(found, mark) for mark in _MARKS}
    heads = [head for head in _HEADS if any(head in row for row in rows.values())]
    if not heads:
        return []
    lines = ["## Faster and slower than plain dracut", "", COMPARED]
    lines += ["| mark | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for mark, row in rows.items():
        if row:
            cells = [", ".join(row.get(head, ["-"])) for head in heads]
            lines.append(f"| {mark.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def compared(found: Mapping[str, Mapping[str, Figure]], mark: str) -> dict[str, list[str]]:
    """Return the variants that reach a mark earlier or later than plain dracut, by column."""
    row: dict[str, list[str]] = {}
    base = found.get(PLAIN, {}).get(mark)
    for variant, one in found.items():
        if variant == PLAIN or base is None or mark not in one:
            continue
        if mark == "first_systemd" and one[mark] == one.get("root_systemd"):
            continue  # it has no systemd in an initramfs to compare
        value = ratio(one[mark], base)
        if min(one[mark]["n"], base["n"]) < 2:
            head = _ONCE
        elif value is None:
            head = _OPEN
        else:
            head = _FASTER if value < 1 else _SLOWER
        row.setdefault(head, []).append(variant)
    return row
