# SPDX-License-Identifier: MIT
"""Compare storage-init's costs with tests/budget.json, and update that file (`./dev budget`).

An entry has either a limit, or the value measured last and a margin in percent that a change may
add. `./dev budget` measures boots in namespaces, `./dev budget --machine` the boot in QEMU as well.
Both rewrite the values; margins and limits stay.

The margins come from repeated runs of one binary on a busy machine with two processors:

- System calls: no difference in six runs. 10 % admits another kernel.
- Instructions: less than 0.001 % in six runs, 0.1 % for other names of loop device and kernel,
  1.8 % for an image on a loop device. Hence 3 %.
- Stage 1 in virtual time, mostly spent by the kernel on loading modules: of five boots four took
  1541 to 1561 ms, and one 4410 ms because the host was busy (see harness/stage1.py). 5 % admits
  another kernel of Debian's.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Optional

PATH = Path(__file__).resolve().parent.parent / "tests/budget.json"
COMMAND = "./dev budget"

Budget = dict[str, dict[str, Any]]


def load(path: Path = PATH) -> Budget:
    """Read the budget: name -> value or limit, margin in percent, unit."""
    loaded = json.loads(path.read_text())
    assert isinstance(loaded, dict)
    return loaded


def allowed(entry: "dict[str, Any]") -> float:
    """Return the largest figure that an entry of the budget admits."""
    if "limit" in entry:
        return float(entry["limit"])
    return float(entry["value"]) * (1 + float(entry["margin"]) / 100)


def verdict(name: str, measured: float, budget: "Optional[Budget]" = None) -> str:
    """Return a line that says by how much `measured` exceeds the budget; empty if it does not."""
    entry = (load() if budget is None else budget)[name]
    if measured <= allowed(entry):
        return ""
    if "limit" in entry:
        return f"{name}: {measured:,} {entry['unit']}, limit {entry['limit']:,} (in {PATH.name})"
    return (
        f"{name}: {measured:,} {entry['unit']}, budget {entry['value']:,} + {entry['margin']} %;"
        f" if the increase is justified, run {COMMAND}{entry.get('option', '')}"
    )


def updated(budget: Budget, measured: "dict[str, float]") -> Budget:
    """Return the budget with these values. Entries with a limit stay unchanged."""
    new = {name: dict(entry) for name, entry in budget.items()}
    for name, value in measured.items():
        if "limit" not in new[name]:
            new[name]["value"] = value
    return new


def write(budget: Budget, path: Path = PATH) -> None:
    """Write the budget with one entry per line, for readable diffs."""
    lines = [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in budget.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def in_namespaces() -> "dict[str, float]":
    """Measure system calls and instructions of boots in namespaces. Requires root.

    "boot" is one from an ext4 that is not mounted, as on Debian; "mounted boot" mounts it first.
    """
    import built

    from benchmarks.namespaces import Bench

    with tempfile.TemporaryDirectory() as directory, Bench.made(Path(directory)) as bench:
        found: dict[str, float] = {}
        for name, mounts in (("boot", False), ("mounted boot", True)):
            bench.mounts = mounts
            calls = bench.system_calls(Path(built.program("storage-init")))
            found[name + " system calls"] = sum(calls.values())
            steps = bench.instructions(Path(built.program("storage-init.counted")))
            found[name + " instructions"] = steps
        return found


def in_a_machine() -> "dict[str, float]":
    """Measure the tiny guest's stage 1 in virtual time, in QEMU."""
    import os

    from harness import platforms, stage1
    from harness.guest import guest
    from harness.tiny import Tiny

    with tempfile.TemporaryDirectory() as directory:
        built = guest(Path(os.environ["INITOVERLAYFS_DEB"]))
        tiny = Tiny(platforms.qemu(built, "tcg"), Path(directory))
        return {"stage 1 in virtual time": stage1.least_ms(tiny, most=3)}


def main(arguments: "list[str]") -> int:
    """Measure, print the changes, rewrite the file; return the exit status."""
    if arguments not in ([], ["--machine"]):
        print("usage: ./dev budget [--machine]", file=sys.stderr)
        return 2
    measures: list[Callable[[], dict[str, float]]] = [in_namespaces]
    measures += [in_a_machine] if arguments else []
    old = load()
    found: dict[str, float] = {}
    for measure in measures:
        found.update(measure())
    for name, value in found.items():
        print(f"{name}: {old[name]['value']:,} -> {value:,} {old[name]['unit']}")
    write(updated(old, found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
