# SPDX-License-Identifier: MIT
"""What storage-init may cost: tests/budget.json, how it is compared, `./dev budget`.

A figure has the value measured last and the margin in percent that a change may add without anybody
looking; a limit has no margin. `./dev budget` measures what needs no machine, `./dev budget
--machine` the boot in QEMU as well; both rewrite the values, and leave margins and limits alone.

Margins, from what runs of one binary show on a busy machine of two processors. System calls: six
runs, no difference; 10 % lets a kernel pass that attaches the image by loop, which is 10 of 222.
Instructions: six runs, less than 0.001 %; other names of the loop device and the kernel 0.1 %; by
loop 1.8 % more, hence 3 %. Stage 1 in virtual time is mostly the kernel's loading of modules: of
five boots four took 1541 to 1561 ms, and one 4410, as the host was busy (see harness/stage1.py);
each kernel of Debian's is another: 5 %.
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
    """The budget: name -> value or limit, margin in percent, unit."""
    loaded = json.loads(path.read_text())
    assert isinstance(loaded, dict)
    return loaded


def allowed(entry: "dict[str, Any]") -> float:
    """The largest figure that still keeps within an entry of the budget."""
    if "limit" in entry:
        return float(entry["limit"])
    return float(entry["value"]) * (1 + float(entry["margin"]) / 100)


def verdict(name: str, measured: float, budget: "Optional[Budget]" = None) -> str:
    """Empty where `measured` keeps within the budget; else one line for whoever broke it."""
    entry = (load() if budget is None else budget)[name]
    if measured <= allowed(entry):
        return ""
    if "limit" in entry:
        return f"{name}: {measured:,} {entry['unit']}, limit {entry['limit']:,} (in {PATH.name})"
    return (
        f"{name}: {measured:,} {entry['unit']}, budget {entry['value']:,} + {entry['margin']} %;"
        f" if it has to be: {COMMAND}{entry.get('option', '')}"
    )


def updated(budget: Budget, measured: "dict[str, float]") -> Budget:
    """The budget with these values; what has a limit stays as it is."""
    new = {name: dict(entry) for name, entry in budget.items()}
    for name, value in measured.items():
        if "limit" not in new[name]:
            new[name]["value"] = value
    return new


def write(budget: Budget, path: Path = PATH) -> None:
    """Write it, an entry a line, so that a diff shows what changed."""
    lines = [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in budget.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def in_namespaces() -> "dict[str, float]":
    """Measure system calls and instructions of a boot. Needs root."""
    import built

    from benchmarks.namespaces import Bench

    with tempfile.TemporaryDirectory() as directory, Bench.made(Path(directory)) as bench:
        calls = bench.system_calls(Path(built.program("storage-init")))
        steps = bench.instructions(Path(built.program("storage-init.counted")))
        return {"boot system calls": sum(calls.values()), "boot instructions": steps}


def in_a_machine() -> "dict[str, float]":
    """Measure the tiny guest's stage 1 in virtual time."""
    import os

    from harness import platforms, stage1
    from harness.guest import guest
    from harness.tiny import Tiny

    with tempfile.TemporaryDirectory() as directory:
        built = guest(Path(os.environ["INITOVERLAYFS_DEB"]))
        tiny = Tiny(platforms.qemu(built, "tcg"), Path(directory))
        return {"stage 1 in virtual time": stage1.least_ms(tiny, most=3)}


def main(arguments: "list[str]") -> int:
    """`[--machine]`: measure, say what changes, rewrite the file."""
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
