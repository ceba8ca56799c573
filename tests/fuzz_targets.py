# SPDX-License-Identifier: MIT
"""The targets of tests/fuzz.py: for each, a function that makes an input and one that checks it.

The check returns the result, which must be the same on both interpreters, and raises if the result
contradicts the docstrings of the tested functions.
"""

import test_ext4
import test_fat
import test_module_tables
import test_partitions
import test_pid1
import test_udev
from fuzz_input import mutated, text
from support import reader

from storage_init.boot import planning
from storage_init.config import cmdline, root
from storage_init.config.knobs import INIT, KNOBS, SYSTEMD
from storage_init.config.settings import Settings
from storage_init.devices import udev, uevent
from storage_init.formats import ext4, superblock
from storage_init.formats.module_tables import Aliases, Modules
from storage_init.formats.partitions import parse
from storage_init.kernel.compat import decode
from storage_init.kernel.log import printable

# Between the parts of an input that has several.
PART = b"\x1e"

KEYS = [knob.key.encode() for knob in KNOBS if knob.key]
PIECES = [word.encode() for knob in KNOBS for word in knob.words]
PIECES += KEYS
PIECES += [b" ", b" ", b"=", b"=", b"\n", b"\n", b"\t", b'"', b"#", b"--", b"\0", b"\xff", b"-"]
PIECES += [b"UUID=", b"PARTLABEL=", b"/dev/", b"..", b"%v", b"30", b"-1", b"1e5", b"/a b", b"loop."]
PIECES += [b"yes", b"reboot", b"systemd", b"ext4", b"root=/dev/sda1", b"\xc3\xa4"]
# What Unicode calls a digit, though int() does not; what is no UTF-8 though it looks like it.
PIECES += [b"\xc2\xb2", b"\xed\xa0\x80", b"\xc0\x8a"]


class Reads:
    """Reads data as the parsers of formats do, within a limit of calls and bytes."""

    def __init__(self, data, most_reads, most_bytes):
        self._read = reader(data)
        self._reads = most_reads
        self._bytes = most_bytes

    def __call__(self, offset, size):
        self._reads -= 1
        self._bytes -= size
        assert self._reads >= 0, "too many reads"
        assert self._bytes >= 0, "too many bytes read"
        assert offset + size < 1 << 63, "no such offset exists"
        return self._read(offset, size)


def settled(settings, words):
    """Every setting is one that its knob takes, and the plan it leads to can be printed."""
    values = []
    for knob in KNOBS:
        value = getattr(settings, knob.name)
        assert type(value) is type(knob.default), knob.name
        values.append(value)
    plans = []
    for mode in (INIT, SYSTEMD):
        plans.append(planning.describe(planning.make(settings, "6.12.1", mode, words)))
    assert all(["\n" not in printable(warning) for warning in settings.warnings])
    return values, plans, len(settings.warnings)


def command_line(data):
    words, arguments = cmdline.split(decode(data))
    settings = Settings()
    settings.read_cmdline(words)
    for key, value in words:
        assert isinstance(key, str) and (value is None or isinstance(value, str))
    return words, arguments, cmdline.module_parameters(words, "loop"), settled(settings, words)


def configuration(data):
    settings = Settings()
    settings.read_configuration(decode(data))
    return settled(settings, [])


UEVENT = (
    b"add@/devices/vda\0ACTION=add\0DEVPATH=/devices/vda\0SUBSYSTEM=block\0DEVNAME=vda\0SEQNUM=9\0"
)


def message(parser):
    def check(data):
        event = parser(data)
        assert event is None or event["ACTION"] is not None and event["DEVPATH"] is not None
        return event

    return check


def disk(*parts):
    data = bytearray(66000 if parts[0][0] > 65535 else 5000)
    for at, content in parts:
        data[at : at + len(content)] = content
    return bytes(data)


UUID = bytes(range(1, 17))
FILESYSTEMS = (
    disk((1080, b"\x53\xef"), (1116, b"\4\0\0\0\x42\0\0\0\1\0\0\0"), (1128, UUID + b"boot")),
    disk(
        (1024, b"\xe2\xe1\xf5\xe0"), (1036, b"\x0c"), (1060, b"\5\0\0\0"), (1072, UUID + b"image")
    ),
    disk((1024, b"\x10\x20\xf5\xf2\1\0\x0e\0"), (1132, UUID + b"o\0k\0")),
    disk((0, b"XFSB"), (32, UUID), (108, b"label")),
    disk((0, b"hsqs"), (28, b"\4\0"), (40, b"\0\x10\0\0")),
    disk((65600, b"_BHRfS_M"), (65568, UUID), (65835, b"b")),
    disk((0, b"LUKS\xba\xbe")),
    disk((4096, b"\xfc\x4e\x2b\xa9\1\0\0\0" + bytes(136) + b"\x08")),
    test_fat.fat16(test_fat.FILE, test_fat.LABEL)[:8192],
    test_fat.fat32((0, 0, 5, 0, 0, 0x0FFFFFFF), ((2, test_fat.FILE * 16), (5, test_fat.LABEL)))[
        :8192
    ],
    test_fat.exfat_of((0, 0, 3), ((2, test_fat.FILE * 16), (3, b"\x83\x02o\0k\0" + bytes(26))))[
        :8192
    ],
)
SIZES = (0, 131072, 1 << 20, (1 << 40) + 512, (1 << 62) - 512)


def filesystem(data):
    for size in (0, len(data), SIZES[len(data) % len(SIZES)]):
        found = superblock.identify(Reads(data, 400, 400000), size)
        assert found is None or found.type and found.size >= 0
    return found


TREE = test_ext4.volume(test_ext4.extents([(0, 30)], 1))
TREE[30 * 1024 : 30 * 1024 + 24] = test_ext4.extents([(0, 4, 40)])
VOLUMES = [bytes(test_ext4.volume()), bytes(TREE)]


def ext4_file(data):
    try:
        place = ext4.locate(Reads(data, 1500, 3000000), "/d/f")
    except OSError as error:
        return error.errno
    assert place.size >= 0 and place.pieces
    for offset, size in place.pieces:
        assert offset >= 0 and size > 0
    return place


SMALL = 16384


def small_gpt(random):
    """Return a disk with a GPT of random numbers and valid checksums."""
    data = bytearray(SMALL)
    put = test_partitions.put
    entries = random.noise(128 * random.below(9)) if random.below(2) else bytes(512)
    if random.below(2) and entries:
        entries = (
            test_partitions.TYPE + UUID + bytes(24) + b"b\0\x3d\xd8\0\xdc\0\xd8" + entries[64:]
        )
    count = len(entries) // 128
    for block, table in ((1, 2), (SMALL // 512 - 1, 20)):
        wrong = random.below(12)
        numbers = [block, table, count, 128]
        if wrong < 4:
            numbers[wrong] = random.choose((0, 1, 255, 1024, 1025, 0xFFFFFFFF, (1 << 31) - 1))
        put(data, table * 512, entries)
        header = test_partitions.header(numbers[0], numbers[1], entries, numbers[2], numbers[3])
        put(data, block * 512, header)
    put(data, 0, test_partitions.mbr([(0xEE, 1, 0xFFFFFFFF)], 0))
    return bytes(data)


def chain(random):
    """Return a disk with an MBR and a chain of logical partitions with random links."""
    data = bytearray(SMALL)
    for at in range(0, SMALL, 512):
        kinds = [random.choose((0, 5, 0x0F, 0x83, 0x83, 0x85)) for _ in range(4)]
        entries = [(kind, random.below(32), random.choose((0, 1, 9, 0xFFFFFFFF))) for kind in kinds]
        test_partitions.put(data, at, test_partitions.mbr(entries))
    return bytes(data)


def table(random):
    kind = random.below(3)
    data = small_gpt(random) if kind == 0 else chain(random) if kind == 1 else random.choose(MBRS)
    return mutated(random, [data]) if random.below(2) else data


MBRS = (
    bytes(test_partitions.logicals()[:SMALL]),
    bytes(test_partitions.logicals(4096)[: 4 * SMALL]),
    test_partitions.mbr([(0x83, 1, 9), (0x0F, 3, 1 << 31), (0x05, 5, 9), (0x85, 1 << 31, 9)]),
)


def partition_table(data):
    found = []
    for sector, size in ((512, len(data)), (4096, len(data)), (512, 1 << 62), (0, 1)):
        got = parse(Reads(data, 1100, 700000), size, sector)
        try:
            assert root.discover(got, "x86-64", "/dev/vda") in got
        except OSError:
            pass
        numbers = [partition.number for partition in got]
        assert len(numbers) <= 255 and numbers == sorted(numbers)
        assert not numbers or numbers[0] >= 1 and numbers[-1] <= 255
        found.append(got)
    return found


MODULES = b"# 1\next4\tkernel/ext4.ko\tcrc16 jbd2\t\ncrc16\tcrc16.ko\t\t\nloop\tloop.ko\t\text4\n"
ALIASES = (b"pci:v00001AF4d00001042sv00001AF4", b"virtio:d00000002v00001AF4", b"pci:v", b"a:[0-9]x")
LOOK_UPS = [test_module_tables.TABLE + PART + alias for alias in ALIASES]
LOOK_UPS += [
    b"# a:2,3 b:\xc2\xb2 pci:4\na:\t*[0-9]?x\tm\na:1\t*\tn\n" + PART + alias for alias in ALIASES
]


def look_up(data):
    tables, _, modalias = data.rpartition(PART)
    aliases = Aliases(tables)
    return aliases.buses, aliases.lookup(decode(modalias)[:300])


def module_table(data):
    modules = Modules(data)
    names = [decode(line.split(b"\t")[0]) for line in data.split(b"\n")[:100]]
    return [(name, modules[name]) for name in names if name in modules]


# How the names end of what storage-init does not expect; its log starts with them.
UNEXPECTED = ("Error", "Interrupt", "StopIteration", "SystemExit")


def whole(random):
    """Command line, configuration, superblock and uevents of one boot."""
    conf = [b"bootfs UUID=" + test_pid1.UUID.encode() + b"\n", b"bootfs /dev/vdb\ntimeout 3\n"]
    parts = [text(random, PIECES, 12) if random.below(2) else b"quiet"]
    parts.append(mutated(random, conf) if random.below(2) else conf[0] + text(random, PIECES, 8))
    parts.append(mutated(random, [FILESYSTEMS[random.below(2)][1024:1200]]))
    parts.append(mutated(random, [b"# virtio:17\nvirtio:d\t*\text4\n"]))
    for _ in range(random.below(4)):
        parts.append(mutated(random, [UEVENT, UEVENT + b"MODALIAS=virtio:d00000002v00001AF4\0"]))
    return PART.join(parts)


def boot(data):
    parts = data.split(PART) + [b""] * 4
    fake, kernel, _ = test_pid1.machine(decode(parts[0]), decode(parts[1]))
    fake.add("/dev/vda", (bytes(1024) + parts[2])[:8192])
    fake.add("/dev/vdb", (bytes(1024) + parts[2])[:8192])
    fake.add("/usr/lib/initoverlayfs/aliases", parts[3])
    fake.uevents = [(5 * number, part) for number, part in enumerate(parts[4:]) if part]
    lines = test_pid1.start(fake, kernel)
    assert lines, "nothing was logged"
    for line in lines:
        assert line.endswith("\n") and line.startswith("<") and "\n" not in line[:-1], line
        name = line.partition("initoverlayfs: ")[2].split(": ")[0].strip()
        assert " " in name or not [end for end in UNEXPECTED if name.endswith(end)], line
    assert fake.now <= test_pid1.stated(lines)
    booted = "sc_execve" in fake.names()
    reasons = [line for line in lines if line[:3] == "<3>"]
    assert booted or reasons, "it ended without a reason: " + lines[-1]
    return booted, [call for call in fake.calls if call[0] != "sc_write"]


def texts(random):
    return text(random, PIECES)


def of(*samples):
    return lambda random: mutated(random, samples)


TARGETS = {
    "cmdline": (texts, command_line),
    "configuration": (texts, configuration),
    "uevent": (of(UEVENT), message(uevent.parse)),
    "udev": (of(test_udev.message(test_udev.DISK)), message(udev.parse)),
    "superblock": (of(*FILESYSTEMS), filesystem),
    "ext4": (of(*VOLUMES), ext4_file),
    "partitions": (table, partition_table),
    "aliases": (of(*LOOK_UPS), look_up),
    "modules": (of(MODULES), module_table),
    "boot": (whole, boot),
}
