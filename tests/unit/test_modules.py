# SPDX-License-Identifier: MIT
from support import make, raises

from storage_init import modindex, modules
from storage_init.children import Children
from storage_init.modules import Loader

INDEX = {
    "crc32c_generic": ("c.ko", [], []),
    "jbd2": ("jbd2.ko", [], []),
    "ext4": ("ext4.ko", ["crc32c_generic", "jbd2"], ["after"]),
    "after": ("after.ko", [], []),
    "virtio_blk": ("vb.ko", [], []),
}


def loader(words=()):
    files = {"/m/" + entry[0]: b"" for entry in INDEX.values()}
    fake, kernel, log, lines = make(files)
    aliases = modindex.Aliases(b"# virtio:17\nvirtio:d00000002v\t*\tvirtio_blk\n")
    return fake, Loader(kernel, log, INDEX, aliases, "/m", words), Children(kernel, log), lines


def loaded(fake):
    return [call[1][3:] for call in fake.calls if call[0] == "sc_finit_module"]


def test_dependencies_first_each_once():
    fake, load, _, _ = loader()
    load.load("jbd2")
    load.load("ext4")
    load.load("ext4")
    assert loaded(fake) == ["jbd2.ko", "c.ko", "ext4.ko", "after.ko"]


def test_what_is_not_in_the_image_is_taken_to_be_built_in():
    fake, load, _, _ = loader()
    load.load("vfat")
    assert loaded(fake) == []


def test_a_dependency_may_fail_the_module_may_not():
    fake, load, _, _ = loader()
    fake.failures["sc_finit_module /m/c.ko"] = 19
    load.load("ext4")
    fake, load, _, _ = loader()
    fake.failures["sc_finit_module /m/ext4.ko"] = 2
    error = raises(OSError, load.load, "ext4")
    assert error.errno == 2 and "load module /m/ext4.ko" in error.args[1]


def test_loaded_already_is_no_error():
    fake, load, _, _ = loader()
    fake.failures["sc_finit_module"] = 17
    load.load("ext4")


def test_parameters_from_the_command_line():
    fake, load, _, _ = loader([("virtio-blk.queue_depth", "4")])
    load.load("virtio_blk")
    assert fake.calls[-1] == ("sc_finit_module", "/m/vb.ko", "queue_depth=4")


def test_modalias_and_blacklist():
    fake, load, _, _ = loader()
    load.load_modalias("virtio:d00000002v00001AF4")
    assert loaded(fake) == ["vb.ko"]
    fake, load, _, _ = loader([("modprobe.blacklist", "x,virtio-blk")])
    load.load_modalias("virtio:d00000002v00001AF4")
    assert loaded(fake) == []


def test_a_failing_device_driver_is_logged_and_left():
    fake, load, _, lines = loader()
    fake.failures["sc_finit_module"] = 5
    load.load_modalias("virtio:d00000002v00001AF4")
    assert len(lines) == 1 and "vb.ko" in lines[0]


def test_ahead_in_a_child_then_settled():
    fake, load, children, _ = loader()
    load.load_ahead(["ext4", "vfat"], children)
    load.settle("ext4", children, 1000)
    assert fake.names() == ["sc_fork"]


def test_a_child_that_failed_is_made_good_here():
    fake, load, children, _ = loader()
    fake.child_status = 256
    load.load_ahead(["jbd2"], children)
    load.settle("jbd2", children, 1000)
    assert loaded(fake) == ["jbd2.ko"]


def test_a_loader_from_the_tables():
    fake, kernel, log, lines = make(
        {modindex.MODULES: b"ext4\text4.ko\t\t\n", "/usr/lib/modules/6.1/ext4.ko": b""}
    )
    modules.from_tables(kernel, log, "6.1", []).load("ext4")
    assert [call[1] for call in fake.calls] == ["/usr/lib/modules/6.1/ext4.ko"]
    assert len(lines) == 1 and modindex.ALIASES in lines[0]


def test_a_loader_that_loads_nothing():
    fake, kernel, log, lines = make()
    load = modules.none(kernel, log)
    load.load("ext4")
    load.load_modalias("pci:v1")
    assert fake.calls == [] and lines == [] and load.aliases.buses == {}
