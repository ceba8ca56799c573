# SPDX-License-Identifier: MIT
"""Split the kernel command line by the kernel's rules."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    Word = Tuple[str, Optional[str]]

# isspace() of the kernel without the no-break space of Latin-1, a byte that also occurs in UTF-8.
_SPACE = " \t\n\v\f\r"


def split(text: str) -> "Tuple[List[Word], List[str]]":
    """Split a command line into `(key, value)` words and the arguments meant for init.

    `value` is None for a word without `=`. The arguments for init are the words after `--`. Quoting
    is that of next_arg() in lib/cmdline.c: between two `"`, white space does not separate words. A
    `"` is removed only at the start and at the end of a word or a value. There is no escape
    character. No text is an error.
    """
    words: List[Word] = []
    init_arguments: List[str] = []
    at = 0
    for_init = False
    while True:
        while at < len(text) and text[at] in _SPACE:
            at += 1
        if at >= len(text):
            return words, init_arguments
        key, value, at = _next_word(text, at)
        if for_init:
            init_arguments.append(key if value is None else key + "=" + value)
        elif key == "--" and value is None:
            for_init = True
        else:
            words.append((key, value))


def _next_word(text: str, at: int) -> "Tuple[str, Optional[str], int]":
    """Return key and value of the word at this offset, and the offset after it."""
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
    """Return the `module.parameter=value` words of one module in the form of finit_module(2).

    `-` and `_` in a module's name are equivalent. A value that contains a space is quoted.
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
