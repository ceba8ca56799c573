# SPDX-License-Identifier: MIT
from support import make, raises

from storage_init.devices import modprobe
from storage_init.devices.modprobe import Loader
from storage_init.formats import module_tables

INDEX = {
    "crc32c_generic": ("c.ko", [], []),
    "jbd2": ("jbd2.ko", ["crc32c_generic"], []),
    "ext4": ("ext4.ko", ["crc32c_generic", "jbd2"], ["after"]),
    "after": ("after.ko", [], []),
    "virtio_blk": ("vb.ko", [], []),
}


def loader(words=()):
    files = {"/m/" + entry[0]: b"" for entry in INDEX.values()}
    fake, kernel, log, lines = make(files)
    aliases = module_tables.Aliases(b"# virtio:17\nvirtio:d00000002v\t*\tvirtio_blk\n")
    return fake, Loader(kernel, log, INDEX, aliases, "/m", words), lines


def loaded(fake):
    return [call[1][3:] for call in fake.calls if call[0] == "sc_finit_module"]


def test_dependencies_first_each_once():
    fake, load, _ = loader()
    load.load("jbd2")
    load.load("ext4")
    load.load("ext4")
    assert loaded(fake) == ["c.ko", "jbd2.ko", "ext4.ko", "after.ko"]


def test_a_compressed_one_is_unpacked_by_the_kernel():
    """Which wants to be told so, and refuses it if it is told wrongly."""
    fake, kernel, _, _ = make({"/m/a.ko": b"", "/m/b.ko.xz": b"", "/m/c.ko.zst": b""})
    for name in ("a.ko", "b.ko.xz", "c.ko.zst"):
        kernel.load_module("/m/" + name)
    assert loaded(fake) == ["a.ko", "b.ko.xz", "c.ko.zst"]


def test_what_is_not_in_the_image_is_taken_to_be_built_in():
    fake, load, _ = loader()
    load.load("vfat")
    assert loaded(fake) == []


def test_a_dependency_may_fail_the_module_may_not():
    fake, load, _ = loader()
    fake.failures["sc_finit_module /m/c.ko"] = 19
    load.load("ext4")
    fake, load, _ = loader()
    fake.failures["sc_finit_module /m/ext4.ko"] = 2
    error = raises(OSError, load.load, "ext4")
    assert error.errno == 2 and "load module /m/ext4.ko" in error.args[1]


def test_loaded_already_is_no_error():
    fake, load, _ = loader()
    fake.failures["sc_finit_module"] = 17
    load.load("ext4")


def test_parameters_from_the_command_line():
    fake, load, _ = loader([("virtio-blk.queue_depth", "4")])
    load.load("virtio_blk")
    assert fake.calls[-1] == ("sc_finit_module", "/m/vb.ko", "queue_depth=4")


def test_modalias_and_blacklist():
    fake, load, _ = loader()
    load.load_modalias("virtio:d00000002v00001AF4")
    assert loaded(fake) == ["vb.ko"]
    fake, load, _ = loader([("modprobe.blacklist", "x,virtio-blk")])
    load.load_modalias("virtio:d00000002v00001AF4")
    assert loaded(fake) == []
    assert load.has("virtio_blk") and not load.allowed("virtio_blk") and load.allowed("ext4")


def test_a_failing_device_driver_is_logged_and_left():
    fake, load, lines = loader()
    fake.failures["sc_finit_module"] = 5
    load.load_modalias("virtio:d00000002v00001AF4")
    assert len(lines) == 1 and "vb.ko" in lines[0]


def test_the_order_and_what_each_needs():
    _, load, _ = loader()
    assert load.order("ext4") == [
        ("crc32c_generic", []),
        ("jbd2", ["crc32c_generic"]),
        ("ext4", ["crc32c_generic", "jbd2"]),
        ("after", ["ext4"]),
    ]
    assert load.order("absent") == []


def test_a_cycle_is_an_order_all_the_same():
    _, kernel, log, _ = make()
    index = {"a": ("a.ko", ["b"], []), "b": ("b.ko", ["a"], ["a", "absent"])}
    load = Loader(kernel, log, index, module_tables.Aliases(b""), "/m", [])
    assert load.order("a") == [("b", []), ("a", ["b"])]
    assert load.order("b") == [("a", []), ("b", ["a"])]


def test_what_others_have_settled():
    fake, load, _ = loader()
    assert load.settled("vfat") and not load.settled("jbd2")
    load.mark("jbd2")
    load.load("jbd2")
    assert load.settled("jbd2") and loaded(fake) == []


def test_a_loader_from_the_tables():
    fake, kernel, log, lines = make(
        {module_tables.MODULES: b"ext4\text4.ko\t\t\n", "/usr/lib/modules/6.1/ext4.ko": b""}
    )
    modprobe.from_tables(kernel, log, "6.1", []).load("ext4")
    assert [call[1] for call in fake.calls] == ["/usr/lib/modules/6.1/ext4.ko"]
    assert len(lines) == 1 and module_tables.ALIASES in lines[0]


def test_a_loader_that_loads_nothing():
    fake, kernel, log, lines = make()
    load = modprobe.none(kernel, log)
    load.load("ext4")
    load.load_modalias("pci:v1")
    assert fake.calls == [] and lines == [] and load.aliases.buses == {}
