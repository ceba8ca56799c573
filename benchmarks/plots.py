# SPDX-License-Identifier: MIT
"""Draw graphs of the figures as PNG and SVG. The SVG files are reproducible."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

from benchmarks.statistics import Figure
from benchmarks.targets import variants_of

matplotlib.use("Agg")
matplotlib.rcParams.update({"svg.hashsalt": "initoverlayfs", "font.size": 9})

# The stages of a boot: (mark or metric at its end, label). Stage 1 ends before the first systemd.
STAGES = (
    ("run_init", "kernel, unpacking"),
    ("stage1", "stage 1"),
    ("first_systemd", "to the first systemd"),
    ("root_systemd", "initrd's systemd"),
    ("multi_user", "root's systemd"),
)


def stages(one: Mapping[str, Figure]) -> dict[str, float]:
    """Return the seconds of each stage of a boot, by label; 0 for a stage the variant lacks."""
    result = {}
    reached = 0.0
    for name, label in STAGES:
        if name == "stage1":
            # In systemd mode the mini-initramfs has the first systemd, and stage 1 follows it.
            end = reached + one["stage1"]["median"] if "stage1" in one else reached
            if "first_systemd" in one and end > one["first_systemd"]["median"]:
                end = reached
        else:
            end = one[name]["median"] if name in one else reached
        result[label] = round(max(end - reached, 0.0), 6)
        reached = max(end, reached)
    return result


def draw(known: Mapping[str, Any], directory: Path) -> list[str]:
    """Draw a graph for each section that has figures; return the names of the graphs."""
    drawn = []
    found = variants_of(known, "variants")
    if found:
        _timeline(found, directory)
        drawn.append("timeline")
    if known.get("memory"):
        _memory(variants_of(known, "memory"), directory)
        drawn.append("memory")
    if known.get("grow"):
        _size(known["grow"]["points"], directory)
        drawn.append("size")
    return drawn


def _axes(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure as Sheet

    sheet = Sheet(figsize=(width, height), layout="constrained")
    axes = sheet.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return sheet, axes


def _save(sheet: Any, directory: Path, name: str) -> None:
    sheet.savefig(directory / f"bench-{name}.svg", metadata={"Date": None})
    sheet.savefig(directory / f"bench-{name}.png", dpi=120, metadata={"Software": None})


def _timeline(found: Mapping[str, Mapping[str, Figure]], directory: Path) -> None:
    sheet, axes = _axes(8, 0.6 + 0.4 * len(found))
    names = list(found)[::-1]
    left = [0.0] * len(names)
    for _, label in STAGES:
        widths = [stages(found[name])[label] for name in names]
        axes.barh(names, widths, left=left, label=label)
        left = [start + width for start, width in zip(left, widths)]
    axes.set_xlabel("seconds of virtual time (medians)")
    axes.legend(ncols=len(STAGES), loc="lower center", bbox_to_anchor=(0.45, 1), frameon=False)
    _save(sheet, directory, "timeline")


def _memory(found: Mapping[str, Mapping[str, Figure]], directory: Path) -> None:
    sheet, axes = _axes(7, 0.8 + 0.5 * len(found))
    names = list(found)[::-1]
    bars = (("needed", "needed to get there"), ("in_use", "in use at the first systemd"))
    for number, (metric, label) in enumerate(bars):
        values = [found[name].get(metric, {"median": 0})["median"] / 1e6 for name in names]
        places = [place + 0.2 - 0.4 * number for place in range(len(names))]
        axes.barh(places, values, height=0.36, label=label)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("MB")
    axes.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    _save(sheet, directory, "memory")


def _size(points: Mapping[str, Mapping[str, Figure]], directory: Path) -> None:
    sheet, axes = _axes(6, 3.5)
    labels = {
        "plain": "plain dracut's initramfs",
        "file": "the image, in a file on ext4",
        "device": "the image, straight on a disk",
    }
    for variant, one in points.items():
        sizes = [int(size) for size in one]
        medians = [figure["median"] for figure in one.values()]
        low = [figure["median"] - figure["min"] for figure in one.values()]
        high = [figure["max"] - figure["median"] for figure in one.values()]
        label = labels.get(variant, variant)
        axes.errorbar(sizes, medians, yerr=[low, high], marker="o", capsize=3, label=label)
    axes.set_xlabel("MiB of files that are not used")
    axes.set_ylabel("seconds to the first systemd")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    _save(sheet, directory, "size")
