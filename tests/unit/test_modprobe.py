# SPDX-License-Identifier: MIT
import crowd
from support import exhausted, make, raises

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


def test_dependencies_load_first_and_each_module_once():
    fake, load, _ = loader()
    load.load("jbd2")
    load.load("ext4")
    load.load("ext4")
    assert loaded(fake) == ["c.ko", "jbd2.ko", "ext4.ko", "after.ko"]


def test_only_compressed_modules_set_the_decompression_flag():
    """The kernel (here: the fake) rejects a wrong flag."""
    fake, kernel, _, _ = make({"/m/a.ko": b"", "/m/b.ko.xz": b"", "/m/c.ko.zst": b""})
    for name in ("a.ko", "b.ko.xz", "c.ko.zst"):
        kernel.load_module("/m/" + name)
    assert loaded(fake) == ["a.ko", "b.ko.xz", "c.ko.zst"]


def test_a_module_outside_the_tables_is_skipped():
    fake, load, _ = loader()
    load.load("vfat")
    assert loaded(fake) == []


def test_only_a_failure_of_the_module_itself_raises():
    fake, load, _ = loader()
    fake.failures["sc_finit_module /m/c.ko"] = 19
    load.load("ext4")
    fake, load, _ = loader()
    fake.failures["sc_finit_module /m/ext4.ko"] = 2
    error = raises(OSError, load.load, "ext4")
    assert error.errno == 2 and "load module /m/ext4.ko" in error.args[1]


def test_a_module_that_is_already_loaded_is_no_error():
    fake, load, _ = loader()
    fake.failures["sc_finit_module"] = 17
    load.load("ext4")


def test_parameters_come_from_the_command_line():
    fake, load, _ = loader([("virtio-blk.queue_depth", "4")])
    load.load("virtio_blk")
    assert fake.calls[-1] == ("sc_finit_module", "/m/vb.ko", "queue_depth=4")


def test_the_blacklist_applies_to_modaliases():
    fake, load, _ = loader()
    load.load_modalias("virtio:d00000002v00001AF4")
    assert loaded(fake) == ["vb.ko"]
    fake, load, _ = loader([("modprobe.blacklist", "x,virtio-blk")])
    load.load_modalias("virtio:d00000002v00001AF4")
    assert loaded(fake) == []
    assert load.has("virtio_blk") and not load.allowed("virtio_blk") and load.allowed("ext4")


def test_a_failed_driver_is_only_logged():
    fake, load, lines = loader()
    fake.failures["sc_finit_module"] = 5
    load.load_modalias("virtio:d00000002v00001AF4")
    assert len(lines) == 1 and "vb.ko" in lines[0]


def test_order_lists_dependencies_and_soft_dependencies():
    _, load, _ = loader()
    assert load.order("ext4") == [
        ("crc32c_generic", []),
        ("jbd2", ["crc32c_generic"]),
        ("ext4", ["crc32c_generic", "jbd2"]),
        ("after", ["ext4"]),
    ]
    assert load.order("absent") == []


def test_order_of_a_dependency_cycle_ends():
    _, kernel, log, _ = make()
    index = {"a": ("a.ko", ["b"], []), "b": ("b.ko", ["a"], ["a", "absent"])}
    load = Loader(kernel, log, index, module_tables.Aliases(b""), "/m", [])
    assert load.order("a") == [("b", []), ("a", ["b"])]
    assert load.order("b") == [("a", []), ("b", ["a"])]


def test_modules_of_other_processes_are_not_loaded_again():
    fake, load, _ = loader()
    assert load.is_done("vfat") and not load.is_done("jbd2")
    load.mark("jbd2")
    load.load("jbd2")
    assert load.is_done("jbd2") and loaded(fake) == []


def test_a_missing_table_is_logged():
    fake, kernel, log, lines = make(
        {module_tables.MODULES: b"ext4\text4.ko\t\t\n", "/usr/lib/modules/6.1/ext4.ko": b""}
    )
    modprobe.from_tables(kernel, log, "6.1", []).load("ext4")
    assert [call[1] for call in fake.calls] == ["/usr/lib/modules/6.1/ext4.ko"]
    assert len(lines) == 1 and module_tables.ALIASES in lines[0]


def test_tables_of_all_modules():
    """The tables of a Debian kernel are read and used."""
    _, kernel, log, lines = make(
        {
            module_tables.MODULES: crowd.modules_table(),
            module_tables.ALIASES: crowd.aliases_table(),
        }
    )
    load = modprobe.from_tables(kernel, log, "6.1", [])
    last = crowd.MODULES - 1
    assert load.modules_for(crowd.modalias(last)) == [crowd.name(last)]
    assert [module for module, _ in load.order(crowd.name(last))][-1] == crowd.name(last)
    assert lines == []


def test_a_table_that_exceeds_the_memory_is_ignored_with_a_warning():
    for path in (module_tables.MODULES, module_tables.ALIASES):
        fake, kernel, log, lines = make(
            {
                module_tables.MODULES: b"ext4\text4.ko\t\t\n",
                module_tables.ALIASES: b"# pci:5\npci:a\t\text4\n",
            }
        )
        fake.sc_read = exhausted(fake, path)
        load = modprobe.from_tables(kernel, log, "6.1", [])
        assert load.has("ext4") is (path == module_tables.ALIASES)
        assert bool(load.modules_for("pci:a")) is (path == module_tables.MODULES)
        assert lines == ["initoverlayfs: read {}: MemoryError; ignoring it".format(path)]


def test_the_loader_of_systemd_mode_loads_nothing():
    fake, kernel, log, lines = make()
    load = modprobe.none(kernel, log)
    load.load("ext4")
    load.load_modalias("pci:v1")
    assert fake.calls == [] and lines == [] and load.aliases.buses == {}
