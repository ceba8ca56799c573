# SPDX-License-Identifier: MIT
"""Write docs/settings.md and the manual page initoverlayfs.conf(5): `./dev docs`.

Both come from the tables of boot settings and build settings. A test fails if a file is stale.
"""

from collections.abc import Sequence
from pathlib import Path

from docs import readme
from initoverlayfs.machine.build_settings import BUILD_SETTINGS
from storage_init.config.boot_settings import BOOT_SETTINGS, PREFIX, Setting
from storage_init.config.settings_help import shown_default
from storage_init.config.stage2_words import PREFIXES, WORDS

HERE = Path(__file__).resolve().parent

MADE = (
    "Made by ./dev docs from storage_init/config/boot_settings.py and"
    " initoverlayfs/machine/build_settings.py."
)

INTRODUCTION = (
    "initoverlayfs-install copies /etc/initoverlayfs.conf into the mini-initramfs. A changed file"
    " takes effect after the next initoverlayfs-install -f. The kernel command line overrides the"
    " file.",
    "Each line of the file is `key value` or `key=value`. `#` starts a comment. Put a value in"
    " double quotes if it starts or ends with a blank, or contains a `#` after a blank. The kernel"
    " command line follows the kernel's rules: double quotes keep blanks in a value, words after"
    " `--` belong to init, and the last of repeated words wins.",
    "An unknown, malformed or empty setting is ignored. A warning in the log names its file and"
    " line, or the kernel command line, its key, and the value that is used instead. The boot"
    " continues.",
)

BOOT = "storage-init reads these settings."

BUILD = (
    "initoverlayfs-install reads these settings when it builds a pair. storage-init ignores them,"
    " and they have no words on the kernel command line."
)

FOREIGN = "storage-init also follows these words of other programs."

# Words of other programs on the kernel command line, and their effect on storage-init.
OTHERS = (
    (
        "root= rootfstype= rootflags= ro rw init=",
        "the root filesystem of a direct boot. A root filesystem that requires more than a disk or"
        " a partition (LUKS, LVM, RAID, NFS) requires stage 2, and so does each word of the table"
        " below. Without root=, or with root=gpt-auto, the root"
        " filesystem is the first root partition of this architecture (Discoverable Partitions"
        " Specification) that is not marked no-auto, on the disk of the partition that bootfs"
        " names. A partition that is marked read-only is mounted read-only even with rw."
        " systemd.gpt_auto=0 disables this discovery.",
    ),
    ("MODULE.PARAMETER=", "parameters of kernel modules that stage 1 loads."),
    (
        "modprobe.blacklist= rd.driver.blacklist=",
        "comma-separated modules that stage 1 does not load for the modalias of a device or of the"
        " CPU.",
    ),
    ("rd.break=POINT", "a break point of dracut in stage 2. It does not stop stage 1."),
)

STAGE_2 = (
    "If the kernel command line has a word that only stage 2 can serve, a direct boot fails at once"
    " and the image boots instead. A word counts unless its value is false for the program that"
    " reads it. A word with `=` counts only with a value, and `*` stands for the rest of a word."
)


def stage_2_words() -> list[tuple[str, str]]:
    """Return a pair for each program of stage 2: its name, and its words."""
    found: dict[str, list[str]] = {}
    for word, program in (*WORDS, *((start + "*", name) for start, name in PREFIXES)):
        found.setdefault(program, []).append(word)
    return [(program, " ".join(sorted(names))) for program, names in found.items()]


WAITING = (
    "The log starts with the attempts and with an upper bound of their waiting time: the sum of"
    " timeout for each device (counted once even if several attempts need it), of rootdelay, and of"
    " 20 seconds for modules that are loaded in advance. Drivers load within these times. The bound"
    " does not include the time of a single system call: the kernel's retries on a broken disk, a"
    " mount that replays a journal, or a module that never finishes its initialization and that"
    " storage-init loads in its own process (with a single processor, or for the root filesystem of"
    " a direct boot). Nor does it include a prompt, which waits for a person.",
    "rootwait without a value waits for timeout seconds. The kernel would wait without a limit.",
)

PROMPT = (
    "The console shows a rescue prompt before the step that rd.initoverlayfs.break names and, if"
    " shell is set, after all other attempts have failed. The prompt is a MicroPython interpreter"
    " with a few functions, which its first screen lists. devices() shows the block devices and"
    " their filesystems, plan() shows the attempts and the current step. mount() and load() help to"
    ' inspect the machine. retry(bootfs="UUID=...") starts again with changed settings, and go()'
    " continues the boot. Anyone at this console is root: do not set shell on a machine whose"
    " console is not trusted. Systemd mode has no rescue prompt, because emergency.target has a"
    " shell."
)


def words(setting: Setting) -> list[str]:
    """Return the words of a setting on the kernel command line, as a user types them."""
    if setting.bare:
        return [*setting.words]
    return [word + "=" for word in setting.words]


def markdown() -> str:
    """Return the text of docs/settings.md."""
    lines = [f"<!-- {MADE} -->", "# Settings", ""]
    for paragraph in INTRODUCTION:
        lines += [*_wrapped(paragraph), ""]
    lines += ["## Boot settings", "", *_wrapped(BOOT), ""]
    lines += ["| key | kernel command line | value | default | meaning |", "|---|---|---|---|---|"]
    for setting in BOOT_SETTINGS:
        typed = " ".join(f"`{word}`" for word in words(setting)) or "-"
        lines.append(_row(_code(setting.key), typed, *_cells(setting)))
    lines += ["", "## Build settings", "", *_wrapped(BUILD), ""]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    lines += [_row(_code(setting.key), *_cells(setting)) for setting in BUILD_SETTINGS]
    lines += ["", "## Other words of the kernel command line", "", *_wrapped(FOREIGN), ""]
    lines += ["| word | meaning |", "|---|---|"]
    lines += [f"| `{names}` | {text} |" for names, text in OTHERS]
    lines += ["", "## Words that require stage 2", "", *_wrapped(STAGE_2), ""]
    lines += ["| program | words |", "|---|---|"]
    lines += [f"| {program} | `{names}` |" for program, names in stage_2_words()]
    lines += ["", "## How long a boot may wait", ""]
    lines += [*_wrapped(WAITING[0]), "", *_wrapped(WAITING[1])]
    lines += ["", "## The rescue prompt", "", *_wrapped(PROMPT)]
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _code(text: str) -> str:
    return f"`{text}`" if text else "-"


def _cells(setting: Setting) -> tuple[str, str, str]:
    """Return value, default and meaning."""
    return setting.accepts, _code(shown_default(setting)), setting.help


def manual() -> str:
    """Return the text of docs/initoverlayfs.conf.5, in the man macros of groff_man(7)."""
    lines = [
        f'.\\" {MADE}',
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
    for title, text, table in (("BOOT", BOOT, BOOT_SETTINGS), ("BUILD", BUILD, BUILD_SETTINGS)):
        lines += [f".SH {title} SETTINGS", *(_roff(line) for line in _wrapped(text))]
        for setting in table:
            lines += _entry(setting)
    lines.append(".SH OTHER WORDS OF THE KERNEL COMMAND LINE")
    lines += [_roff(line) for line in _wrapped(FOREIGN)]
    for names, text in OTHERS:
        lines += [".TP", ".B " + _roff(names), *(_roff(line) for line in _wrapped(text))]
    lines.append(".SH WORDS THAT REQUIRE STAGE 2")
    lines += [_roff(line) for line in _wrapped(STAGE_2)]
    for program, names in stage_2_words():
        lines += [".TP", ".B " + _roff(program), *(_roff(line) for line in _wrapped(names))]
    lines.append(".SH HOW LONG A BOOT MAY WAIT")
    for number, paragraph in enumerate(WAITING):
        lines += [".PP"] * bool(number) + [_roff(line) for line in _wrapped(paragraph)]
    lines += [".SH RESCUE PROMPT", *(_roff(line) for line in _wrapped(PROMPT))]
    lines += [".SH SEE ALSO", ".BR bootparam (7),", ".BR dracut.cmdline (7)"]
    return "\n".join(lines) + "\n"


def _entry(setting: Setting) -> list[str]:
    lines = [".TP", ".B " + _roff(setting.key or words(setting)[0])]
    lines += [_roff(line) for line in _wrapped(_sentence(setting.help))]
    lines += [".br", "Value: " + _roff(setting.accepts) + "."]
    if shown_default(setting):
        lines.append("Default: " + _roff(shown_default(setting)) + ".")
    if setting.words:
        lines += [".br", "Kernel command line: " + _roff(", ".join(words(setting)))]
    return lines


def _sentence(text: str) -> str:
    """Return text with a capital, unless it starts with a value (`auto: ...`), and a full stop."""
    first = text.split()[0]
    return (text if first.endswith(":") else text[0].upper() + text[1:]) + "."


def _wrapped(text: str) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > 100:
            lines.append(line)
            line = ""
        line += " " * bool(line) + word
    return [*lines, line]


def _roff(text: str) -> str:
    """Escape text for groff: hyphens stay ASCII, and no line is read as a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return "\\&" + text if text.startswith((".", "'")) else text


FILES = {"settings.md": markdown, "initoverlayfs.conf.5": manual}


def main(names: Sequence[str] = tuple(FILES)) -> None:
    """Write the documents of these names."""
    for name in names:
        (HERE / name).write_text(FILES[name]())
    (HERE.parent / "README.md").write_text(readme.readme())


if __name__ == "__main__":
    main()
