# SPDX-License-Identifier: MIT
import crowd
from support import raises

from storage_init.formats.module_tables import Aliases, Modules, matches

TABLE = b"""# pci:5,14,24 virtio:17
pci:v\t*d*sv*sd*bc01sc08i02*\tnvme
pci:v00001AF4d\t*sv*sd*bc*sc*i*\tvirtio_pci
pci:v00008086d00002922sv\t*sd*bc*sc*i*\tahci
pci:v00008086d00002922sv\t*sd*bc*sc*i*\tata_piix
virtio:d00000002v\t*\tvirtio_blk
"""


def test_lookup():
    aliases = Aliases(TABLE)
    assert aliases.buses == {"pci": [5, 14, 24], "virtio": [17]}
    assert aliases.lookup("virtio:d00000002v00001AF4") == ["virtio_blk"]
    assert aliases.lookup("virtio:d00000003v00001AF4") == []
    assert aliases.lookup("pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00") == ["virtio_pci"]
    assert aliases.lookup("pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02") == ["nvme"]
    both = aliases.lookup("pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01")
    assert both == ["ahci", "ata_piix"]
    assert (
        aliases.lookup("usb:v1") == [] and aliases.lookup("") == [] and aliases.lookup("pci:") == []
    )


def test_lookup_finds_every_line():
    names = ["a:%03dx" % number for number in range(100)]
    table = "# a:6\n" + "".join([name + "\t*\tm" + name[2:5] + "\n" for name in names])
    for size in (1, 2, 3, 7, 100):
        aliases = Aliases("\n".join(table.split("\n")[: size + 1]).encode())
        for name in names[:size]:
            assert aliases.lookup(name + "tail") == ["m" + name[2:5]]
        assert aliases.lookup("a:999x") == [] and aliases.lookup("a:   x") == []


def test_a_broken_table_finds_nothing():
    for table in (
        b"",
        b"# pci:5",
        b"# pci:x,5 : virtio",
        b"\xff\xfe\n\n",
        b"# a:2\na:\t*",
        b"#\n",
        b"# pci:\xc2\xb2\n",
    ):
        aliases = Aliases(table)
        assert aliases.lookup("pci:v0") == [] and aliases.lookup("a:") == []


def test_matches():
    for pattern, text in (
        ("*", ""),
        ("*a*", "xay"),
        ("*a*b", "xab"),
        ("*ab", "xaab"),
        ("*b", "*ab"),
        ("a?c", "abc"),
        ("", ""),
    ):
        assert matches(pattern, text), pattern
    for pattern, text in (("a*", "b"), ("*ab", "b"), ("a?", "a"), ("", "a")):
        assert not matches(pattern, text), pattern
    assert matches("*[", "a[") and not matches("*b*b*b*b*c", "b" * 200)


def test_matches_sets_of_characters():
    for pattern, good, bad in (
        ("[0-3a]", "0123a", "4-/b"),
        ("[0-3a-c]", "03ac", "4d-"),
        ("[acb]", "abc", "d-[]"),
        ("[a-]", "a-", "b]"),
        ("[-a]", "a-", "b]"),
        ("[]a]", "]a", "[b"),
        ("[x0-3-9]", "x03-9", "5"),
    ):
        for character in good + bad:
            expected = character in good
            assert matches(pattern, character) == expected, (pattern, character)
            assert matches("a" + pattern + "b", "a" + character + "b") == expected
    for pattern, text in (("[ab][c]", "bc"), ("[ab]]", "a]"), ("a[", "a["), ("[a", "[a")):
        assert matches(pattern, text), pattern
    for pattern, text in (("[a]", ""), ("[ab]", "ab"), ("[b]", "xb]")):
        assert not matches(pattern, text), pattern


def test_modules():
    text = b"# head\next4\tkernel/ext4.ko\tcrc16 jbd2\t\nbroken line\nb\tx\nx\ty\t\t\n#\ty\t\t"
    modules = Modules(text)
    assert modules["ext4"] == ("kernel/ext4.ko", ["crc16", "jbd2"], [])
    assert modules["x"] == modules["x"] == ("y", [], [])
    for name in ("ext", "xt4", "broken", "b", "#", "# head", "", "ext4\tkernel/ext4.ko", "b\tx\nx"):
        assert name not in modules, name
        assert raises(KeyError, modules.__getitem__, name).args == (name,)


def test_modules_without_a_last_newline():
    assert Modules(b"x\ty\t\tz")["x"] == ("y", [], ["z"])
    assert "x" not in Modules(b"")


def test_tables_of_all_modules():
    """Both tables of a Debian kernel: each module and each alias is found."""
    text = crowd.aliases_table()
    assert len(text) > 1 << 20
    aliases = Aliases(text)
    modules = Modules(crowd.modules_table())
    for number in range(0, crowd.MODULES, 25):
        name = crowd.name(number)
        assert aliases.lookup(crowd.modalias(number)) == [name]
        assert len(modules[name][1]) == number % 6
    assert crowd.name(crowd.MODULES) not in modules
    assert aliases.lookup(crowd.modalias(crowd.MODULES)) == []


def test_thousands_of_aliases_with_one_prefix():
    lines = ["of:N\t*T*Cvendor,device-{:04d}\tm{:04d}".format(at, at) for at in range(4000)]
    aliases = Aliases(("# of:4\n" + "\n".join(lines) + "\n").encode())
    assert aliases.lookup("of:NdiskT(null)Cvendor,device-3999") == ["m3999"]
