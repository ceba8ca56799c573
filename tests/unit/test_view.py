# SPDX-License-Identifier: MIT
from support import make, raises

from storage_init.boot import view
from storage_init.kernel.failure import BootFailure

DEVICE = "/dev/vda1"
NO_REPLAY = {"ext4": "noload", "xfs": "norecovery", "btrfs": "rescue=nologreplay"}
EROFS, EIO = 30, 5
RO = 15  # MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC


class Machine:
    """The parts of boot.machine.Machine that boot.view uses.

    dirty: the error of a mount that would have to replay the journal on the read-only device, 0 if
    the journal is clean. replay: the error of the mount that replays it in memory. settled: the
    modules that were loaded; `missing` is one that cannot be.
    """

    def __init__(self, dirty=0, replay=0, missing="", device=DEVICE, size=b"2048\n"):
        files = {
            device: b"",
            "/dev/loop-control": b"",
            "/dev/loop0": b"",
            "/dev/loop1": b"",
            "/dev/mapper/control": b"",
            "/dev/btrfs-control": b"",
            "/proc/meminfo": b"MemTotal: 1001 kB\n",
        }
        files["/sys/class/block/" + device[len("/dev/") :].replace("/", "!") + "/size"] = size
        self.fake, self.kernel, self.log, self.lines = make(files)
        self.workers = self
        self.settled = []
        self._missing = missing
        self._errors = {"/dev/loop0": dirty, "/dev/dm-7": replay}
        self._mount = self.fake.sc_mount
        self.fake.sc_mount = self.mount
        self.fake.sc_loop_get_free = lambda control: 1 if self.mounts() else 0

    def settle(self, module):
        if module == self._missing:
            raise OSError(2, "load module " + module)
        self.settled.append(module)

    def mount(self, source, target, fstype, flags, data):
        words = (data or "").split(",")
        stale = [word for word in words if word in NO_REPLAY.values()]
        failures = self.fake.failures
        kept = dict(failures)
        if self._errors.get(source) and not stale:
            failures["sc_mount"] = self._errors[source]
        try:
            return self._mount(source, target, fstype, flags, data)
        finally:
            self.fake.failures = kept

    def view(self, fstype, options="", verified=False, device=DEVICE):
        return view.mount(self, device, fstype, options, "/b", verified)

    def mounts(self):
        return [call[1:] for call in self.fake.calls if call[0] == "sc_mount"]


def test_a_clean_filesystem_is_mounted_through_a_read_only_loop_device():
    for fstype in ("ext2", "ext4", "xfs", "btrfs", "vfat"):
        for verified in (False, True):
            machine = Machine()
            assert machine.view(fstype, "noatime,data=x", verified) == view.CLEAN
            assert machine.fake.calls == [
                ("sc_loop_configure", "/dev/loop0", DEVICE, 5, 0, 0),
                ("sc_mount", "/dev/loop0", "/b", fstype, RO | 1024, "data=x"),
            ]
            assert machine.settled == ["loop"] and machine.fake.open_fds() == []


def test_a_journal_is_replayed_into_a_snapshot_in_memory():
    for fstype in NO_REPLAY:
        for errno in (EROFS, EIO):
            for verified in (False, True):
                machine = Machine(dirty=errno)
                assert machine.view(fstype, "noatime,data=x", verified) == view.REPLAYED
                snapshot = (0, 2048, "snapshot", "/dev/loop0 /dev/loop1 N 8")
                assert machine.fake.calls == [
                    ("sc_loop_configure", "/dev/loop0", DEVICE, 5, 0, 0),
                    ("sc_mount", "/dev/loop0", "/b", fstype, RO | 1024, "data=x"),
                    # A quarter of the memory, in whole sectors; writable.
                    ("sc_memfd", "initoverlayfs-replay", 256000),
                    ("sc_loop_configure", "/dev/loop1", "memory", 4, 0, 0),
                    ("sc_dm_create", "initoverlayfs-replay"),
                    ("sc_dm_load", "initoverlayfs-replay", snapshot),
                    ("sc_dm_resume", "initoverlayfs-replay"),
                    ("sc_mount", "/dev/dm-7", "/b", fstype, RO | 1024, "data=x"),
                    # The device remains until its last user, the mount, is gone.
                    ("sc_dm_remove", "initoverlayfs-replay"),
                ]
                assert machine.settled == ["loop", "dm_snapshot"]
                assert machine.fake.open_fds() == [] and machine.fake.mounted == {"/b"}
                text = "initoverlayfs: /dev/vda1: journal replayed in memory"
                assert machine.lines[-1] == text + ", the disk is unchanged"


def test_the_snapshot_is_writable():
    machine = Machine(dirty=EROFS)
    seen = []

    def record(name):
        call = getattr(machine.fake, name)

        def recording(control, device, writable, *rest):
            seen.append((name, writable))
            return call(control, device, writable, *rest)

        setattr(machine.fake, name, recording)

    names = ("sc_dm_create", "sc_dm_load", "sc_dm_resume")
    for name in names:
        record(name)
    machine.view("ext4")
    assert seen == [(name, True) for name in names]


def test_a_device_in_a_directory_is_found_in_sysfs():
    device = "/dev/cciss/c0d0p1"
    machine = Machine(dirty=EROFS, device=device, size=b"4096\n")
    assert machine.view("xfs", device=device) == view.REPLAYED
    (load,) = [call for call in machine.fake.calls if call[0] == "sc_dm_load"]
    assert load[2][1] == 4096


# Why a replay in memory fails: options of Machine, failures of system calls, a part of the reason.
FAILED_REPLAYS = (
    ({"missing": "dm_snapshot"}, {}, "load module dm_snapshot"),
    ({}, {"sc_open /sys/class/block/vda1/size": 2}, "open /sys/class/block/vda1/size"),
    ({}, {"sc_open /proc/meminfo": 2}, "open /proc/meminfo"),
    ({}, {"sc_memfd": 12}, "allocate 256000 bytes of memory"),
    ({}, {"sc_loop_configure /dev/loop1": 16}, "attach initoverlayfs-replay to /dev/loop1"),
    ({}, {"sc_open /dev/mapper/control": 2}, "open /dev/mapper/control"),
    ({}, {"sc_dm_create": 16}, "create the device-mapper device initoverlayfs-replay"),
    ({}, {"sc_dm_load": 22}, "set up initoverlayfs-replay: snapshot"),
    ({}, {"sc_dm_resume": 12}, "set up initoverlayfs-replay: snapshot"),
    ({"replay": 117}, {}, "mount /dev/dm-7 on /b type ext4"),
)


def test_an_image_that_is_not_verified_requires_the_replay():
    for options, failures, why in FAILED_REPLAYS:
        machine = Machine(dirty=EROFS, **options)
        machine.fake.failures.update(failures)
        error = str(raises(BootFailure, machine.view, "ext4"))
        text = "/dev/vda1 has a journal to replay, which stage 1 replays in memory only: "
        assert error.startswith(text) and why in error, error
        assert machine.fake.open_fds() == [] and machine.fake.mounted == set()


def test_a_verified_image_may_be_older_than_the_journal():
    for options, failures, why in FAILED_REPLAYS:
        machine = Machine(dirty=EROFS, **options)
        machine.fake.failures.update(failures)
        assert machine.view("ext4", "", True) == view.STALE
        assert machine.mounts()[-1] == ("/dev/loop0", "/b", "ext4", RO, "noload")
        (line,) = [line for line in machine.lines if "ignoring the journal: " in line]
        assert line.startswith("initoverlayfs: /dev/vda1: ") and why in line
        assert machine.fake.open_fds() == [] and machine.fake.mounted == {"/b"}


def test_a_snapshot_is_removed_if_it_cannot_be_set_up_or_mounted():
    for options, failures, _ in FAILED_REPLAYS[-3:]:
        for verified in (False, True):
            machine = Machine(dirty=EROFS, **options)
            machine.fake.failures.update(failures)
            try:
                machine.view("ext4", "", verified)
            except BootFailure:
                assert not verified
            names = machine.fake.names()
            assert names.count("sc_dm_create") == names.count("sc_dm_remove") == 1


def test_the_option_that_ignores_the_journal_is_appended_to_the_options():
    for fstype, word in NO_REPLAY.items():
        for options, flags, data in (
            ("", RO, word),
            ("data=x", RO, "data=x," + word),
            ("noatime,a,b", RO | 1024, "a,b," + word),
        ):
            machine = Machine(dirty=EIO, replay=117)
            assert machine.view(fstype, options, True) == view.STALE
            assert machine.mounts()[-1] == ("/dev/loop0", "/b", fstype, flags, data)


def test_the_error_of_a_stale_mount_is_raised():
    machine = Machine(dirty=EROFS, replay=117)
    fake = machine.fake
    fake.sc_mount = lambda *arguments: (
        -117 if arguments[4] == "noload" else machine.mount(*arguments)
    )
    assert raises(OSError, machine.view, "ext4", "", True).errno == 117
    assert fake.open_fds() == [] and fake.mounted == set()


def test_another_error_is_not_retried():
    for errno in (2, 12, 13, 16, 19, 22, 117):
        for fstype in ("ext4", "xfs", "btrfs", "vfat"):
            machine = Machine(dirty=errno)
            error = raises(OSError, machine.view, fstype, "", True)
            assert error.errno == errno and "mount /dev/loop0 on /b" in error.args[1]
            assert machine.fake.names() == ["sc_loop_configure", "sc_mount"]
            assert machine.settled == ["loop"] and machine.fake.open_fds() == []


def test_a_filesystem_without_a_journal_is_never_replayed():
    for errno in (EROFS, EIO):
        machine = Machine(dirty=errno)
        assert raises(OSError, machine.view, "vfat", "", True).errno == errno
        assert machine.fake.names() == ["sc_loop_configure", "sc_mount"]
        assert machine.settled == ["loop"] and machine.fake.open_fds() == []


def test_the_device_is_not_mounted_without_a_loop_device():
    for options, failures in (
        ({"missing": "loop"}, {}),
        ({}, {"sc_open /dev/loop-control": 2}),
        ({}, {"sc_loop_configure": 5}),
    ):
        machine = Machine(**options)
        machine.fake.failures.update(failures)
        raises(OSError, machine.view, "ext4", "", True)
        assert machine.mounts() == [] and machine.fake.open_fds() == []


def test_umount_of_btrfs_forgets_devices():
    for fstype in ("ext4", "xfs", "vfat", "btrfs"):
        machine = Machine()
        machine.view(fstype)
        del machine.fake.calls[:]
        view.umount(machine, fstype, "/b")
        forgotten = [("sc_btrfs_forget",)] if fstype == "btrfs" else []
        assert machine.fake.calls == [("sc_umount", "/b", 0)] + forgotten
        assert machine.fake.open_fds() == [] and machine.fake.mounted == set()


def test_a_failed_umount_forgets_nothing():
    machine = Machine()
    machine.view("btrfs")
    machine.fake.failures["sc_umount"] = 16
    error = raises(OSError, view.umount, machine, "btrfs", "/b")
    assert error.errno == 16 and error.args[1] == "unmount /b: errno 16"
    assert "sc_btrfs_forget" not in machine.fake.names()


def test_a_replayed_filesystem_is_used_if_its_snapshot_cannot_be_removed():
    for verified in (False, True):
        machine = Machine(dirty=EROFS)
        machine.fake.failures["sc_dm_remove"] = 16
        assert machine.view("ext4", "", verified) == view.REPLAYED, verified


def test_nothing_stays_mounted_below_a_stale_mount():
    machine = Machine(dirty=EROFS)
    machine.fake.failures["sc_dm_remove"] = 16
    machine.view("ext4", "", True)
    mounted = [call for call in machine.mounts() if call[0] == "/dev/dm-7"]
    stale = [call for call in machine.mounts() if call[4] == "noload"]
    umounts = machine.fake.names().count("sc_umount")
    assert umounts == len(mounted) + len(stale) - 1


def test_the_error_of_a_replay_is_reported_if_its_snapshot_cannot_be_removed():
    machine = Machine(dirty=EROFS, replay=117)
    machine.fake.failures["sc_dm_remove"] = 16
    assert "errno 117" in str(raises(BootFailure, machine.view, "ext4"))


def test_the_journal_of_ext3_is_replayed_in_memory():
    """superblock.identify returns ext3 for a filesystem with a journal and no later feature."""
    machine = Machine(dirty=EROFS)
    assert machine.view("ext3") == view.REPLAYED
    machine = Machine(dirty=EROFS, replay=117)
    assert machine.view("ext3", "", True) == view.STALE
    assert machine.mounts()[-1] == ("/dev/loop0", "/b", "ext3", RO, "noload")
