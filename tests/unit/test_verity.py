# SPDX-License-Identifier: MIT
from support import make, raises

from storage_init.boot import verity
from storage_init.config.boot_settings import CORRUPTION
from storage_init.formats.binding import Verity

TABLE = "1 4096 4096 10 11 sha256 ab -"
WANTED = Verity(40960, "ab", TABLE)


def mounted(fake, kernel, signature=b""):
    return verity.mount(kernel, "/dev/loop0", "erofs", "/t", WANTED, "error", signature)


def test_the_table():
    first = "1 /dev/vda /dev/vda 4096 4096 10 11 sha256 ab -"
    tables = [verity.table("/dev/vda", WANTED, corruption, "") for corruption in CORRUPTION]
    assert tables == [first, first + " 1 restart_on_corruption", first + " 1 panic_on_corruption"]
    text = verity.table("/dev/vda", WANTED, "panic", "k")
    assert text == first + " 3 panic_on_corruption root_hash_sig_key_desc k"


def test_the_device_goes_with_its_mount():
    fake, kernel, _, _ = make({"/dev/mapper/control": b""})
    assert mounted(fake, kernel) == "/dev/dm-7"
    parameters = verity.table("/dev/loop0", WANTED, "error", "")
    assert fake.calls == [
        ("sc_dm_create", "initoverlayfs"),
        ("sc_dm_load", "initoverlayfs", (0, 80, "verity", parameters)),
        ("sc_dm_resume", "initoverlayfs"),
        ("sc_mount", "/dev/dm-7", "/t", "erofs", 1, None),
        ("sc_dm_remove", "initoverlayfs"),
    ]
    assert fake.open_fds() == []


def test_nothing_stays_of_one_that_fails():
    for call, part in (
        ("sc_dm_load", "set up initoverlayfs: verity 1 /dev/loop0 /dev/loop0 4096"),
        ("sc_dm_resume", "set up initoverlayfs"),
        ("sc_mount", "mount /dev/dm-7 on /t type erofs ro"),
    ):
        fake, kernel, _, _ = make({"/dev/mapper/control": b""})
        fake.failures[call] = 5
        error = raises(OSError, mounted, fake, kernel)
        assert error.errno == 5 and part in error.args[1]
        assert fake.calls[-1] == ("sc_dm_remove", "initoverlayfs") and fake.open_fds() == []
    fake, kernel, _, _ = make({"/dev/mapper/control": b""})
    fake.failures["sc_dm_create"] = 16
    assert "create the device-mapper device" in raises(OSError, mounted, fake, kernel).args[1]
    assert "sc_dm_remove" not in fake.names() and fake.open_fds() == []


def test_a_signed_root_hash():
    fake, kernel, _, _ = make({"/dev/mapper/control": b""})
    mounted(fake, kernel, b"signature")
    assert fake.calls[0] == ("sc_add_key", "initoverlayfs:root-hash", b"signature")
    assert fake.calls[2][2][3].endswith(" 2 root_hash_sig_key_desc initoverlayfs:root-hash")
    fake.failures["sc_add_key"] = 126
    assert "add the key" in raises(OSError, mounted, fake, kernel, b"signature").args[1]


def test_a_refusal_says_what_is_wrong_with_the_signature():
    for errno, signature, part in (
        (126, b"s", "the root hash is signed by no key that the kernel trusts"),
        (129, b"s", "the signature is not one of this root hash"),
        (74, b"s", "the signature is not one of this root hash"),
        (126, b"", "requires a signature of the root hash: build with --verity-key"),
        (129, b"", ""),
        (5, b"s", ""),
    ):
        fake, kernel, _, _ = make({"/dev/mapper/control": b""})
        fake.failures["sc_dm_load"] = errno
        error = raises(OSError, mounted, fake, kernel, signature)
        assert error.errno == errno and error.args[1].endswith(part), error.args
        assert "set up initoverlayfs: verity 1 " in error.args[1]
        assert ("signature" in error.args[1] or "signed" in error.args[1]) == (part != "")


def test_a_table_that_the_kernel_does_not_take():
    said = ": the kernel's message before this one gives the reason"
    lacks = said + "; it may be built without CONFIG_DM_VERITY_VERIFY_ROOTHASH_SIG"
    parameter = "/sys/module/dm_verity/parameters/require_signatures"
    for files, signature, part in (
        ({}, b"s", lacks),
        ({parameter: b"N\n"}, b"s", said),
        ({}, b"", said),
    ):
        files["/dev/mapper/control"] = b""
        fake, kernel, _, _ = make(files)
        fake.failures["sc_dm_load"] = 22
        error = raises(OSError, mounted, fake, kernel, signature)
        assert error.errno == 22 and error.args[1].endswith(part), error.args
