# SPDX-License-Identifier: MIT
"""The files that depmod writes. Formats: modules.dep(5), modprobe.d(5)."""


def module_name(path: str) -> str:
    """The kernel's name of a module from its file: `kernel/crypto/crc32c-intel.ko.xz`."""
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def dependencies(text: str) -> dict[str, list[str]]:
    """module -> modules to load before it, in order, from the text of modules.dep."""
    found = {}
    for line in text.splitlines():
        path, colon, rest = line.partition(":")
        if colon:
            # A line names what to load last first.
            found[module_name(path)] = [module_name(other) for other in reversed(rest.split())]
    return found


def soft_dependencies(text: str) -> dict[str, dict[str, list[str]]]:
    """module -> {"pre": names or aliases, "post": the same}, from the text of modules.softdep."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3 or words[0] != "softdep":
            continue
        kinds = found.setdefault(words[1].replace("-", "_"), {"pre": [], "post": []})
        kind = ""
        for word in words[2:]:
            if word in ("pre:", "post:"):
                kind = word[:-1]
            elif kind:
                kinds[kind].append(word)
    return found


def aliases(text: str) -> list[tuple[str, str]]:
    """(pattern, module) of each line of modules.alias."""
    lines = [line.split() for line in text.splitlines()]
    return [
        (words[1], words[2].replace("-", "_"))
        for words in lines
        if len(words) == 3 and words[0] == "alias"
    ]
