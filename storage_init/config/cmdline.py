# SPDX-License-Identifier: MIT
"""The kernel command line, split by the kernel's own rules."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    Word = Tuple[str, Optional[str]]

# isspace() of the kernel, less its Latin-1 no-break space: that byte also occurs inside UTF-8.
_SPACE = " \t\n\v\f\r"


def split(text: str) -> "Tuple[List[Word], List[str]]":
    """Split a command line into `(key, value)` words and the arguments meant for init.

    `value` is None for a word without `=`. What follows a word `--` is init's and comes back as
    plain words. Quoting is that of next_arg() in lib/cmdline.c: `"` switches white space off as a
    separator wherever it stands, and is removed only at the start of a word or a value and at its
    end; there is no escape. Raises nothing: every text has a reading.
    """
    words: List[Word] = []
    init_arguments: List[str] = []
    at = 0
    ours = True
    while True:
        while at < len(text) and text[at] in _SPACE:
            at += 1
        if at >= len(text):
            return words, init_arguments
        key, value, at = _next_word(text, at)
        if not ours:
            init_arguments.append(key if value is None else key + "=" + value)
        elif key == "--" and value is None:
            ours = False
        else:
            words.append((key, value))


def _next_word(text: str, at: int) -> "Tuple[str, Optional[str], int]":
    quoted = text[at] == '"'
    if quoted:
        at += 1
    in_quote = quoted
    start = at
    equals = -1
    while at < len(text) and (in_quote or text[at] not in _SPACE):
        if text[at] == "=" and equals < 0 and at > start:
            equals = at
        elif text[at] == '"':
            in_quote = not in_quote
        at += 1
    end = at
    if quoted and end > start and text[end - 1] == '"':
        end -= 1
    if equals < 0:
        return text[start:end], None, at
    value = text[equals + 1 : end]
    if value.startswith('"'):
        value = value[1:]
        if not quoted and value.endswith('"'):
            value = value[:-1]
    return text[start:equals], value, at


def module_parameters(words: "List[Word]", module: str) -> str:
    """The `module.parameter=value` words of one module, as finit_module(2) takes them.

    `-` and `_` are the same in a module's name. A value with a space is quoted.
    """
    found = []
    for key, value in words:
        name, dot, parameter = key.partition(".")
        if dot and parameter and name.replace("-", "_") == module:
            if value is None:
                found.append(parameter)
            elif " " in value:
                found.append(parameter + '="' + value + '"')
            else:
                found.append(parameter + "=" + value)
    return " ".join(found)
