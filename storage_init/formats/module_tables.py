# SPDX-License-Identifier: MIT
"""The two tables of kernel modules that the mini-initramfs carries, prepared when it was built.

Their formats are this project's own; initoverlayfs/build/load_order.py writes them.
"""

from storage_init.kernel.compat import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

DIRECTORY = "/usr/lib/initoverlayfs"
MODULES = DIRECTORY + "/modules"
ALIASES = DIRECTORY + "/aliases"


class Modules:
    """What is said of each module: path below the modules directory, names to load before, after.

    A line a module, four fields separated by tabs, names in a field by spaces; `before` is
    complete and in order. Other lines are passed over. A line is taken apart when its module is
    asked for: few of them are.
    """

    def __init__(self, table: bytes) -> None:
        self._table = b"\n" + table
        self._known: Dict[str, Optional[Tuple[str, List[str], List[str]]]] = {}

    def __contains__(self, name: str) -> bool:
        if name not in self._known:
            self._known[name] = self._line(name)
        return self._known[name] is not None

    def __getitem__(self, name: str) -> "Tuple[str, List[str], List[str]]":
        """KeyError for one that is not there."""
        found = self._known[name] if name in self else None
        if found is None:
            raise KeyError(name)
        return found

    def _line(self, name: str) -> "Optional[Tuple[str, List[str], List[str]]]":
        start = self._table.find(b"\n" + name.encode() + b"\t") + 1
        if start == 0:
            return None
        end = self._table.find(b"\n", start)
        line = self._table[start : end if end >= 0 else len(self._table)]
        fields = decode(line).split("\t")
        if len(fields) != 4 or fields[0] != name or name.startswith("#"):
            return None
        return fields[1], _names(fields[2]), _names(fields[3])


def _names(field: str) -> "List[str]":
    return [name for name in field.split(" ") if name]


class Aliases:
    """Which modules a device's modalias asks for.

    The text's first line is `#` and then ` bus:length,length` for each bus: the lengths, in
    characters, that literal prefixes of that bus's patterns have. The others are sorted bytewise:
    literal prefix, tab, the pattern's rest from its first wildcard on, tab, module. So a look-up
    is one binary search a length, and nothing is built in memory before it.
    """

    def __init__(self, table: bytes) -> None:
        self._table = table  # bytes: MicroPython finds the n-th character of a str by counting
        self.buses: Dict[str, List[int]] = {}
        # bytes: of a str, CPython takes other digits and spaces for such than MicroPython
        head = table[: max(table.find(b"\n"), 0)]
        if head.startswith(b"#"):
            for word in head[1:].split():
                bus, _, rest = word.partition(b":")
                lengths = [int(length) for length in rest.split(b",") if length.isdigit()]
                self.buses[decode(bus)] = lengths

    def lookup(self, modalias: str) -> "List[str]":
        """The modules whose pattern matches, each once, in the table's order by prefix length."""
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

    def _lines(self, prefix: str) -> "List[Tuple[str, str]]":
        """(rest of the pattern, module) of each line with this literal prefix."""
        table = self._table
        key = prefix.encode() + b"\t"
        low, high = 0, len(table)  # the first line that is not below key starts in low..high
        while low < high:
            start = table.rfind(b"\n", low, (low + high) // 2) + 1 or low
            if table[start : start + len(key)] < key:
                end = table.find(b"\n", start)
                low = end + 1 if end >= 0 else len(table)
            else:
                high = start
        lines = []
        while table[low : low + len(key)] == key:
            end = table.find(b"\n", low)
            end = end if end >= 0 else len(table)
            fields = decode(table[low:end]).split("\t")
            if len(fields) == 3:
                lines.append((fields[1], fields[2]))
            low = end + 1
        return lines


def matches(pattern: str, text: str) -> bool:
    """Whether text matches a pattern of `*`, `?` and `[...]`, as modules.alias has them.

    Takes time in the product of both lengths at the most, and no recursion: the pattern comes
    from this image, the text from a device.
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
    """The length of the pattern element at `at` if it matches the character, else 0."""
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
