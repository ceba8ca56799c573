# SPDX-License-Identifier: MIT
"""Define the performance targets, and judge the figures by them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from benchmarks.statistics import Figure, ratio, within
from benchmarks.variants import PLAIN

OK = "ok"
OPEN = "within the spread"
ONCE = "measured once"
MISSING = "not measured"


@dataclass(frozen=True)
class Relative:
    """A target: a variant's metric is at most `limit` times that of the variant `base`."""

    what: str
    section: str
    variant: str
    metric: str
    limit: float
    base: str = PLAIN
    timed: bool = True


@dataclass(frozen=True)
class Absolute:
    """A target: a figure is at most `limit`, in its unit."""

    what: str
    section: str
    name: str
    metric: str
    limit: float
    unit: str


@dataclass(frozen=True)
class Row:
    """A target with the figure and the verdict, as text."""

    what: str
    target: str
    measured: str
    verdict: str


TARGETS = (
    Absolute("storage-init, x86-64, static", "native", "size", "", 450e3, "B"),
    Absolute(
        "interpreter's start to the first line of Python",
        *("native", "start, interpreter, wall clock", "", 0.5, "ms"),
    ),
    Absolute("storage-init's own user CPU in a boot", "native", "boot, user CPU", "", 10, "ms"),
    Absolute(
        "mini-initramfs, this machine's modules only",
        *("variants", "hostonly", "initramfs", 1.3e6, "B"),
    ),
    Absolute("mini-initramfs, generic", "variants", "file", "initramfs", 6e6, "B"),
    Relative(
        "`Run /init` to exec of stage 2's init, against sequential C",
        *("variants", "file", "stage1", 1.0, "c"),
    ),
    Relative("first systemd, image in a file, wall clock", "wall", "file", "first_systemd", 0.75),
    Relative(
        "first systemd, image in a file, virtual time", "variants", "file", "first_systemd", 1.0
    ),
    Relative(
        "first systemd, image on a device, virtual time",
        *("variants", "device", "first_systemd", 0.85),
    ),
    Relative(
        "first systemd, image on a device, this machine's modules only",
        *("variants", "device-hostonly", "first_systemd", 0.85),
    ),
    Relative(
        "first systemd, image verified, virtual time",
        *("variants", "verity", "first_systemd", 1.05, "file"),
    ),
    Relative(
        "first systemd, image verified, SHA-256 instructions",
        *("cpu", "verity", "first_systemd", 1.05, "file"),
    ),
    Relative(
        "first systemd, image verified, SHA-256 instructions, built-in dm-verity",
        *("kernel", "verity", "first_systemd", 1.05, "file"),
    ),
    Relative("multi-user, image in a file, virtual time", "variants", "file", "multi_user", 0.85),
    Relative("multi-user, direct, virtual time", "variants", "direct", "multi_user", 0.65),
    Relative(
        "memory in use when stage 2's systemd starts", "memory", "file", "in_use", 0.5, timed=False
    ),
    Relative(
        "peak memory use before stage 2's systemd starts",
        "memory",
        "file",
        "before",
        0.5,
        timed=False,
    ),
    Relative(
        "memory of the smallest machine that starts stage 2's systemd",
        "memory",
        "file",
        "needed",
        0.5,
        timed=False,
    ),
    Relative("building both images, wall clock", "builds", "file", "build", 1.3),
)

# At most this much more boot time for 1 GiB of content that is not used.
GROWTH = 0.01


def variants_of(known: Mapping[str, Any], section: str) -> Mapping[str, Mapping[str, Figure]]:
    """Return the variants' figures in a section: see store.py."""
    if section == "variants":
        found = known.get("variants", {})
    else:
        found = known.get(section, {}).get("variants", {})
    assert isinstance(found, dict)
    return found


def judged(passed: Optional[bool], off: float) -> str:
    """Return the verdict. passed: None if the spread leaves it open. off: median / limit."""
    if passed is None:
        return OPEN
    return OK if passed else f"**{off:.2f}x the target**"


def relative(target: Relative, known: Mapping[str, Any]) -> Row:
    """Judge a ratio."""
    found = variants_of(known, target.section)
    one = found.get(target.variant, {}).get(target.metric)
    base = found.get(target.base, {}).get(target.metric)
    wanted = f"<= {target.limit:.2f}x {target.base}"
    if one is None or base is None:
        return Row(target.what, wanted, "-", MISSING)
    value = ratio(one, base, target.timed)
    if target.timed and min(one["n"], base["n"]) < 2:
        return Row(target.what, wanted, "~", ONCE)
    shown = f"{value:.2f}x" if value else "~ (the ranges overlap)"
    off = one["median"] / base["median"] / target.limit
    return Row(target.what, wanted, shown, judged(within(one, base, target.limit), off))


def absolute(target: Absolute, known: Mapping[str, Any], native: Mapping[str, Figure]) -> Row:
    """Judge a size or a time."""
    if target.section == "native":
        one = native.get("storage-init: " + target.name)
    else:
        one = variants_of(known, target.section).get(target.name, {}).get(target.metric)
    scale, unit = (1e6, "MB") if target.unit == "B" else (1.0, target.unit)
    wanted = f"<= {target.limit / scale:g} {unit}"
    if one is None:
        return Row(target.what, wanted, "-", MISSING)
    passed = True if one["max"] <= target.limit else False if one["min"] > target.limit else None
    shown = f"{one['median'] / scale:.2f} {unit}"
    return Row(target.what, wanted, shown, judged(passed, one["median"] / target.limit))


def growth(known: Mapping[str, Any], variant: str, about: str) -> Row:
    """Judge the growth by unused content: 1024 MiB of it compared with none."""
    what = f"first systemd with 1 GiB of unused stage-2 content, {about}"
    wanted = f"<= {1 + GROWTH:.2f}x"
    points: Mapping[str, Figure] = known.get("grow", {}).get("points", {}).get(variant, {})
    if "0" not in points or "1024" not in points:
        return Row(what, wanted, "-", MISSING)
    one, base = points["1024"], points["0"]
    value = one["median"] / base["median"]
    passed = within(one, base, 1 + GROWTH) if min(one["n"], base["n"]) > 1 else None
    # No ratio(): a growth of 1 % or less is smaller than the spread, so the ranges overlap.
    return Row(what, wanted, f"{value:.3f}x", judged(passed, value / (1 + GROWTH)))


def rows(known: Mapping[str, Any], native: Mapping[str, Figure]) -> list[Row]:
    """Judge all targets, in the order of the table."""
    found = [
        relative(target, known) if isinstance(target, Relative) else absolute(target, known, native)
        for target in TARGETS
    ]
    return [
        *found,
        growth(known, "device", "image on a device"),
        growth(known, "file", "image in a file"),
    ]
