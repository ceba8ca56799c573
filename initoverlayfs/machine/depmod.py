# SPDX-License-Identifier: MIT
"""Parse the files that depmod writes. Formats: modules.dep(5), modprobe.d(5)."""


def module_name(path: str) -> str:
    """Return the kernel's name of a module from its path: `kernel/crypto/crc32c-intel.ko.xz`."""
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def dependencies(text: str) -> dict[str, list[str]]:
    """Return module -> modules to load before it, in load order, from the text of modules.dep."""
    found = {}
    for line in text.splitlines():
        path, colon, rest = line.partition(":")
        if colon:
            # A line lists the modules in reverse load order.
            found[module_name(path)] = [module_name(other) for other in reversed(rest.split())]
    return found


def soft_dependencies(text: str) -> dict[str, dict[str, list[str]]]:
    """Return the soft dependencies in the text of modules.softdep.

    module -> {"pre": names or aliases to load before it, "post": those to load after it}
    """
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
    """Return (pattern, module) for each line of modules.alias."""
    lines = [line.split() for line in text.splitlines()]
    return [
        (words[1], words[2].replace("-", "_"))
        for words in lines
        if len(words) == 3 and words[0] == "alias"
    ]
