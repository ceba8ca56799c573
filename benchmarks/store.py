# SPDX-License-Identifier: MIT
"""Read and write build/bench.json: the figures of each kind of measurement in a section.

variants, header       whole boots in virtual time (icount)
cpu                    whole boots with another processor than QEMU's default, {header, variants}
kernel                 whole boots with another kernel than Debian's, {header, variants}
wall                   whole boots in wall-clock time, {header, variants}
steps, memory, builds  {header, variants}
grow                   {header, points}, see grow.py
chain                  {header, variants}, see chain.py
"""

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

from harness.guest import Guest

DEFAULT = Path("build/bench.json")
NATIVE = Path("build/native.json")  # storage-init alone: {"rows": {name: figure and unit}}

Section = dict[str, Any]


def header(guest: Guest, **options: object) -> Section:
    """Return the header of a section: versions, host, commit, options."""
    return {
        "kernel": guest.kver,
        "qemu": _first_line(["qemu-system-x86_64", "--version"]).partition("version ")[2],
        "host": f"Linux {platform.machine()}",
        "commit": _first_line(["git", "describe", "--always", "--dirty", "--abbrev=12"]),
        "options": options,
    }


def _first_line(line: "list[str]") -> str:
    """Run a command; return the first line of its output, without errors."""
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.split("\n")[0].strip()


def load(path: Path) -> Section:
    """Read the stored figures; return an empty dict if the file does not exist."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def save(path: Path, name: str, section: Section) -> Section:
    """Replace a section in the file; return the new content of the file."""
    known = load(path)
    known.update(section if name == "variants" else {name: section})
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(known, indent=1) + "\n")
    temporary.replace(path)
    return known
