# SPDX-License-Identifier: MIT
"""Look up kernel modules in the two tables of the mini-initramfs: load order and aliases.

The docstrings of the classes are the source of the formats, which are the project's own.
initoverlayfs/build/load_order.py writes the tables when the mini-initramfs is built.
"""

from storage_init.formats import const
from storage_init.kernel.compat import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Optional, Tuple

DIRECTORY = "/usr/lib/initoverlayfs"
MODULES = DIRECTORY + "/modules"
ALIASES = DIRECTORY + "/aliases"

_COMMENT = const("#")  # start of the first line of both tables
_MODULE_FIELDS = const(4)
_ALIAS_FIELDS = const(3)


class Modules:
    """The load order: module name -> (path, modules to load before it, modules to load after it).

    Format: a line of four fields for each module, separated by tabs: name, path below the modules
    directory, before, after. Names in the last two are separated by spaces; `before` is complete
    and in order. Ignores other lines. Parses a line only when its module is looked up, as most
    never are.
    """

    def __init__(self, table: bytes) -> None:
        self._table = table  # not copied: the table of all modules has 1 MB
        self._known: Dict[str, Optional[Tuple[str, List[str], List[str]]]] = {}

    def __contains__(self, name: str) -> bool:
        if name not in self._known:
            self._known[name] = self._line(name)
        return self._known[name] is not None

    def __getitem__(self, name: str) -> "Tuple[str, List[str], List[str]]":
        """Return (path, before, after) of a module. Raises KeyError if it is not in the table."""
        found = self._known[name] if name in self else None
        if found is None:
            raise KeyError(name)
        return found

    def _line(self, name: str) -> "Optional[Tuple[str, List[str], List[str]]]":
        key = name.encode() + b"\t"
        start = 0
        if not self._table.startswith(key):
            start = self._table.find(b"\n" + key) + 1
            if start == 0:
                return None
        end = self._table.find(b"\n", start)
        line = self._table[start : end if end >= 0 else len(self._table)]
        fields = decode(line).split("\t")
        if len(fields) != _MODULE_FIELDS or name.startswith(_COMMENT):
            return None
        found, path, before, after = fields
        return (path, _names(before), _names(after)) if found == name else None


def _names(field: str) -> "List[str]":
    return [name for name in field.split(" ") if name]


class Aliases:
    """The aliases: modalias of a device -> modules that drive it.

    Format: the first line is `#`, then ` BUS:LENGTH,LENGTH...` for each bus: the lengths, in
    characters, of the literal prefixes of its patterns. Every other line has three fields,
    separated by tabs: literal prefix, rest of the pattern from its first wildcard on, module.
    These lines are sorted bytewise, so that a lookup is one binary search for each length and
    builds no index in memory.
    """

    def __init__(self, table: bytes) -> None:
        # Not decoded: MicroPython indexes a str in time linear in the index, and the interpreters
        # differ in which characters of a str are digits and spaces.
        self._table = table
        self.buses: Dict[str, List[int]] = {}
        head = table[: max(table.find(b"\n"), 0)]
        comment = _COMMENT.encode()
        if head.startswith(comment):
            for word in head[len(comment) :].split():
                bus, _, rest = word.partition(b":")
                lengths = [int(length) for length in rest.split(b",") if length.isdigit()]
                self.buses[decode(bus)] = lengths

    def lookup(self, modalias: str) -> "List[str]":
        """Return the modules whose patterns match, each once, those of short prefixes first."""
        found: List[str] = []
        for length in self.buses.get(modalias.partition(":")[0], ()):
            prefix = modalias[:length]
            if len(prefix) < length:
                break
            rest = modalias[length:]
            for pattern, module in self._lines(prefix):
                if module not in found and matches(pattern, rest):
                    found.append(module)
        return found

    def _lines(self, prefix: str) -> "Iterator[Tuple[str, str]]":
        """Yield (rest of the pattern, module) of each line with this literal prefix.

        Thousands of lines can have the prefix `of:N`.
        """
        table = self._table
        key = prefix.encode() + b"\t"
        low, high = 0, len(table)  # the start of the first line that is not less than key
        while low < high:
            start = table.rfind(b"\n", low, (low + high) // 2) + 1 or low
            if table[start : start + len(key)] < key:
                end = table.find(b"\n", start)
                low = end + 1 if end >= 0 else len(table)
            else:
                high = start
        while table[low : low + len(key)] == key:
            end = table.find(b"\n", low)
            end = end if end >= 0 else len(table)
            fields = decode(table[low:end]).split("\t")
            if len(fields) == _ALIAS_FIELDS:
                _, pattern, module = fields
                yield pattern, module
            low = end + 1


def matches(pattern: str, text: str) -> bool:
    """Tell whether text matches a pattern of `*`, `?` and `[...]`, as in depmod's modules.alias.

    Needs time in proportion to the product of both lengths at most, and does not recurse: the text
    comes from a device.
    """
    p = t = 0
    star = -1
    resume = 0
    while t < len(text):
        size = _one(pattern, p, text[t]) if p < len(pattern) and pattern[p] != "*" else 0
        if size:
            p += size
            t += 1
        elif p < len(pattern) and pattern[p] == "*":
            star, resume = p, t
            p += 1
        elif star >= 0:
            resume += 1
            p, t = star + 1, resume
        else:
            return False
    while p < len(pattern) and pattern[p] == "*":
        p += 1
    return p == len(pattern)


def _one(pattern: str, at: int, character: str) -> int:
    """Return the length of the pattern's element at `at` if it matches the character, else 0."""
    if pattern[at] == "?":
        return 1
    close = pattern.find("]", at + 2) if pattern[at] == "[" else -1
    if close < 0:
        return 1 if pattern[at] == character else 0
    inside = pattern[at + 1 : close]
    i = 0
    while i < len(inside):
        if inside[i + 1 : i + 2] == "-" and i + 2 < len(inside):
            if inside[i] <= character <= inside[i + 2]:
                return close + 1 - at
            i += 3
        elif inside[i] == character:
            return close + 1 - at
        else:
            i += 1
    return 0
