# SPDX-License-Identifier: MIT
"""Writes the documents that are made from the table of settings: `./dev docs`.

docs/settings.md is for reading here, docs/initoverlayfs.conf.5 is the manual page's source. A test
compares both with what this makes.
"""

from collections.abc import Sequence
from pathlib import Path

from docs import readme
from storage_init.config.knobs import KNOBS, PREFIX, Knob, shown_default

HERE = Path(__file__).resolve().parent

INTRODUCTION = (
    "Settings come from /etc/initoverlayfs.conf, which initoverlayfs-install copies into the"
    " mini-initramfs, and then from the kernel command line, which wins. A change to the file takes"
    " effect when initoverlayfs-install -f has run again.",
    "The file has one `key value` or `key=value` a line; `#` starts a comment; a value with blanks"
    " at its ends or a `#` after a blank stands in double quotes. On the kernel command line the"
    " kernel's rules hold: double quotes keep blanks together, `--` ends the words that are not for"
    " init, the last of repeated words wins.",
    "What is unknown, malformed or empty costs one warning in the log, which names the file and"
    " line or the kernel command line, the key, and the value that is used instead. The boot goes"
    " on.",
)

# Words of others that storage-init heeds as well: words, what they do.
OTHERS = (
    (
        "root= rootfstype= rootflags= ro rw init=",
        "the root filesystem, for a direct boot. What asks for more than a filesystem on a disk"
        " or a partition (LUKS, LVM, RAID, NFS; rd.luks, rd.lvm, rd.md, resume=, ostree=,"
        " roothash=, usrhash=, mount.usr=) is left to stage 2. Without root=, or with"
        " root=gpt-auto, it is the first root partition of this architecture (Discoverable"
        " Partitions Specification) on the disk that holds the partition bootfs names, unless it"
        " is marked no-auto; one that is marked read-only is mounted so whatever else is said."
        " systemd.gpt_auto=0 turns that off.",
    ),
    ("MODULE.PARAMETER=", "parameters of the kernel modules that stage 1 loads."),
    (
        "modprobe.blacklist= rd.driver.blacklist=",
        "modules that neither a device's modalias nor the CPU's has loaded, with commas between"
        " them.",
    ),
    (
        "rd.break=POINT",
        "dracut's own break points, which are in stage 2: nothing stops in stage 1.",
    ),
)

WAITING = (
    "The log starts with the order of the attempts and with how many seconds they wait at the most,"
    " all in all: timeout once for each device, however many attempts need it, rootdelay, and 20"
    " seconds for modules that load ahead. Drivers load within these times. Not bounded here is"
    " what the kernel does in one call: its own retries on a disk that is broken, a mount that"
    " replays a journal, a module that never comes up where this process loads it itself (the only"
    " processor, the root filesystem's in a direct boot). Nor is a prompt: somebody sits there.",
    "rootwait alone means timeout, not for ever as it does to the kernel.",
)

PROMPT = (
    "Where shell is set and no way to boot is left, and before the step that"
    " rd.initoverlayfs.break names, the console shows a rescue prompt: a MicroPython interpreter"
    " with a handful of functions, which its first screen lists. devices() shows the block devices"
    " and what is on them, plan() where the boot stands; mount() and load() help to look around;"
    ' retry(bootfs="UUID=...") starts over with settings changed; go() goes on. Whoever sits at'
    " that console is root: leave shell off where that must not be. In systemd mode there is none"
    " of it: emergency.target has a shell of its own."
)


def words(knob: Knob) -> list[str]:
    """The knob's words on the kernel command line, as one types them."""
    if knob.bare:
        return [*knob.words]
    return [word + "=" for word in knob.words]


def markdown() -> str:
    """The text of docs/settings.md."""
    lines = ["<!-- Made by ./dev docs from storage_init/config/knobs.py. -->", "# Settings", ""]
    for paragraph in INTRODUCTION:
        lines += [*_wrapped(paragraph), ""]
    lines += ["| key | kernel command line | value | default | meaning |", "|---|---|---|---|---|"]
    for knob in KNOBS:
        cells = (
            f"`{knob.key}`" if knob.key else "-",
            " ".join(f"`{word}`" for word in words(knob)) or "-",
            knob.accepts,
            f"`{shown_default(knob)}`" if shown_default(knob) else "-",
            knob.help,
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Other words of the kernel command line that storage-init heeds:", ""]
    lines += ["| word | meaning |", "|---|---|"]
    lines += [f"| `{names}` | {text} |" for names, text in OTHERS]
    lines += ["", "## How long a boot may wait", ""]
    lines += [*_wrapped(WAITING[0]), "", *_wrapped(WAITING[1])]
    lines += ["", "## The rescue prompt", "", *_wrapped(PROMPT)]
    return "\n".join(lines) + "\n"


def manual() -> str:
    """The text of docs/initoverlayfs.conf.5, in the man macros of groff_man(7)."""
    lines = [
        '.\\" Made by ./dev docs from storage_init/config/knobs.py.',
        ".TH INITOVERLAYFS.CONF 5 initoverlayfs",
        ".SH NAME",
        "initoverlayfs.conf \\- settings of stage 1 of initoverlayfs",
        ".SH SYNOPSIS",
        ".nf",
        "/etc/initoverlayfs.conf",
        _roff(PREFIX) + "\\fIkey\\fR=\\fIvalue\\fR on the kernel command line",
        ".fi",
        ".SH DESCRIPTION",
    ]
    for number, paragraph in enumerate(INTRODUCTION):
        lines += [".PP"] * bool(number) + [_roff(line) for line in _wrapped(paragraph)]
    lines.append(".SH SETTINGS")
    for knob in KNOBS:
        lines += _entry(knob)
    lines.append(".SH OTHER WORDS OF THE KERNEL COMMAND LINE")
    for names, text in OTHERS:
        lines += [".TP", ".B " + _roff(names), *(_roff(line) for line in _wrapped(text))]
    lines.append(".SH HOW LONG A BOOT MAY WAIT")
    for number, paragraph in enumerate(WAITING):
        lines += [".PP"] * bool(number) + [_roff(line) for line in _wrapped(paragraph)]
    lines += [".SH RESCUE PROMPT", *(_roff(line) for line in _wrapped(PROMPT))]
    lines += [".SH SEE ALSO", ".BR bootparam (7),", ".BR dracut.cmdline (7)"]
    return "\n".join(lines) + "\n"


def _entry(knob: Knob) -> list[str]:
    text = knob.help[0].upper() + knob.help[1:] + "."
    lines = [".TP", ".B " + _roff(knob.key or words(knob)[0])]
    lines += [_roff(line) for line in _wrapped(text)]
    lines += [".br", "Value: " + _roff(knob.accepts) + "."]
    if shown_default(knob):
        lines.append("Default: " + _roff(shown_default(knob)) + ".")
    lines.append(".br")
    if knob.words:
        lines.append("On the kernel command line: " + _roff(", ".join(words(knob))))
    else:
        lines.append("Not for the kernel command line.")
    return lines


def _wrapped(text: str) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > 100:
            lines.append(line)
            line = ""
        line += " " * bool(line) + word
    return [*lines, line]


def _roff(text: str) -> str:
    """Text as groff takes it: hyphens that can be typed again, no requests by accident."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return "\\&" + text if text.startswith((".", "'")) else text


FILES = {"settings.md": markdown, "initoverlayfs.conf.5": manual}


def main(names: Sequence[str] = tuple(FILES)) -> None:
    """Write the documents."""
    for name in names:
        (HERE / name).write_text(FILES[name]())
    (HERE.parent / "README.md").write_text(readme.readme())


if __name__ == "__main__":
    main()
