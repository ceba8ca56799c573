# SPDX-License-Identifier: MIT
"""Read the spellings of a reference that fstab and udev have: quotes, escapes, links of udev.

PID 1 imports this module only for a reference that has one of them.
"""

from storage_init.kernel.compat import decode

# Directories of links that udev makes, and the tags that their names stand for.
_LINKS = "/dev/disk/"
_TAG_OF = (
    ("by-uuid", "UUID"),
    ("by-label", "LABEL"),
    ("by-partuuid", "PARTUUID"),
    ("by-partlabel", "PARTLABEL"),
)

_OCTAL = b"01234567"
_HEXADECIMAL = b"0123456789abcdefABCDEF"


def plain(text: str) -> str:
    """Return a reference as Finder matches it: `TAG=name` without quotes and escapes, or a path.

    Escapes are those of fstab, `\\040`, and in names of tags and links also those of udev, `\\x20`.
    A link in /dev/disk/by-uuid, by-label, by-partuuid or by-partlabel becomes the tag that it
    stands for. Does not check the result. Raises ValueError with the reason for another link of
    /dev/disk, and for an escaped control character.
    """
    text = _unquoted(text)
    if not text.startswith("/"):
        tag, equals, name = text.partition("=")
        return tag + equals + _unescaped(_unquoted(name), True)
    text = _unescaped(text, False)
    if not text.startswith(_LINKS):
        return text
    directory, _, name = text[len(_LINKS) :].partition("/")
    for link, tag in _TAG_OF:
        if link == directory and name and "/" not in name:
            return tag + "=" + _unescaped(name, True)
    links = ", ".join([link for link, _ in _TAG_OF])
    raise ValueError("only udev makes {}; of its links, stage 1 knows {}".format(text, links))


def _unquoted(text: str) -> str:
    """Remove a pair of quotes around the text. Source: unquote() of systemd."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text


def _unescaped(text: str, udev: bool) -> str:
    """Replace each octal escape, and if `udev` is true, each hexadecimal one.

    A backslash that starts no escape stays. Sources: unmangle() of libmount, and
    encode_devnode_name() of systemd.
    """
    if "\\" not in text:
        return text
    parts = text.encode().split(b"\\")
    found = parts[0]
    for part in parts[1:]:
        if udev and part[:1] == b"x" and len(part) > 2 and not part[1:3].strip(_HEXADECIMAL):
            code = int(part[1:3].decode(), 16)
        elif len(part) > 2 and part[:1] < b"4" and not part[:3].strip(_OCTAL):
            code = int(part[:3].decode(), 8)
        else:
            found += b"\\" + part
            continue
        if code < 32 or code == 127:
            raise ValueError("an escape stands for a control character")
        found += bytes([code]) + part[3:]
    return decode(found)
