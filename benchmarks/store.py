# SPDX-License-Identifier: MIT
"""build/bench.json: what was measured, a section for each kind of run, each with its header.

variants, header       whole boots in virtual time (icount): what is claimed
cpu                    the same with another processor than QEMU's default, {header, variants}
kernel                 the same with another kernel than Debian's, {header, variants}
wall                   the same by the host's clock, {header, variants}
steps, memory, builds  {header, variants}
grow, chain            {header, ...}: see grow.py and chain.py
"""

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

from harness.guest import Guest

DEFAULT = Path("build/bench.json")
NATIVE = Path("build/native.json")  # of storage-init by itself: {"rows": {name: figure and unit}}

Section = dict[str, Any]


def header(guest: Guest, **options: object) -> Section:
    """What a section has to say about how it was made."""
    return {
        "kernel": guest.kver,
        "qemu": _said(["qemu-system-x86_64", "--version"]).partition("version ")[2],
        "host": f"Linux {platform.machine()}",
        "commit": _said(["git", "describe", "--always", "--dirty", "--abbrev=12"]),
        "options": options,
    }


def _said(line: "list[str]") -> str:
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.split("\n")[0].strip()


def load(path: Path) -> Section:
    """What was measured before; nothing, where there is no such file."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def save(path: Path, name: str, section: Section) -> Section:
    """Put a section in the place of the one before; returns all that is known then."""
    known = load(path)
    known.update(section if name == "variants" else {name: section})
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(known, indent=1) + "\n")
    temporary.replace(path)
    return known
