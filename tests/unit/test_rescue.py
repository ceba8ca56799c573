# SPDX-License-Identifier: MIT
import json

from support import make, raises

from storage_init.boot import prompt, rescue


class Session:
    """The prompt's functions, on a machine that pretends; what they print."""

    def __init__(self, last=True):
        ext = bytearray(8192)
        ext[1080:1082] = b"\x53\xef"
        ext[1128:1144] = bytes(range(1, 17))
        state = {"why": "a reason", "plan": ["attempt x:", "> a step"], "last": last}
        self.fake, kernel, _, _ = make(
            {
                "/sys/class/block/vda/size": b"100\n",
                "/sys/class/block/sr0/size": b"0\n",
                "/dev/vda": bytes(ext),
                "/proc/cmdline": b"quiet\n",
                "/proc/sys/kernel/osrelease": b"6.12.1\n",
                "/usr/lib/initoverlayfs/modules": b"ext4\text4.ko\t\t\n",
                "/usr/lib/initoverlayfs/aliases": b"# virtio:17\n",
                "/usr/lib/modules/6.12.1/ext4.ko": b"",
                prompt.STATE: json.dumps(state).encode(),
            }
        )
        self.fake.blocks.add("/dev/vda")
        self.fake.add("/sys/dev/block/0:0/size", b"100\n")
        self.printed = []
        self.kernel = kernel

    def __enter__(self):
        self.kept = rescue.kernel
        rescue.kernel = self.kernel
        setattr(rescue, "print", self.printed.append)  # noqa: B010
        return self

    def __exit__(self, *_):
        rescue.kernel = self.kept
        delattr(rescue, "print")


def test_the_first_screen_says_why_and_names_everything_there_is():
    with Session() as session:
        rescue.welcome()
        screen = "".join(session.printed)
        assert "rescue prompt: a reason" in screen
        for name in rescue.__all__:
            assert name == "welcome" or name + "(" in screen, name
        del session.fake.files[prompt.STATE]
        rescue.welcome()


def test_devices():
    with Session() as session:
        rescue.devices()
    (line,) = session.printed
    assert line.split()[:3] == ["/dev/vda", "0.1", "MB"]
    assert 'TYPE="ext2" UUID="01020304-0506-0708-090a-0b0c0d0e0f10"' in line


def test_mount_finds_the_type_and_loads_what_it_needs():
    with Session() as session:
        rescue.mount("/dev/vda", "/mnt")
        rescue.mount("/dev/vda", "/mnt", "ext4", "rw,noatime,x=y")
        rescue.unmount("/mnt")
    assert [call for call in session.fake.calls if call[0] != "sc_finit_module"] == [
        ("sc_mount", "/dev/vda", "/mnt", "ext2", 1, None),
        ("sc_mount", "/dev/vda", "/mnt", "ext4", 1024, "x=y"),
        ("sc_umount", "/mnt", 2),
    ]
    assert "sc_finit_module" in session.fake.names()
    with Session() as session:
        session.fake.add("/boot/image", session.fake.files["/dev/vda"])
        session.fake.add("/dev/loop-control")
        session.fake.add("/dev/loop0")
        rescue.mount("/boot/image", "/mnt")
    assert session.printed == ["loop /dev/loop0 ext2"]


def test_what_fails_is_one_line():
    with Session() as session:
        rescue.mount("/dev/sda", "/mnt")
        rescue.load("nope")
        rescue.cat("/nope")
        rescue.ls("/nope")
        rescue.retry(timeout="x")
        rescue.retry(nope=1)
        rescue.reboot("never")
        rescue.go()
    assert len(session.printed) == 8, session.printed
    assert "no init to run" in session.printed[-1]


def test_going_on():
    with Session(last=False):
        assert raises(SystemExit, rescue.go).args[0] == prompt.GO
    with Session() as session:
        session.fake.add("/initoverlayfs/init", b"#!/x\n")
        assert raises(SystemExit, rescue.go).args[0] == prompt.GO


def test_starting_over():
    with Session() as session:
        error = raises(SystemExit, lambda: rescue.retry(bootfs="LABEL=x", timeout=5))
        assert error.args[0] == prompt.RETRY
    changes = json.loads(session.fake.files[prompt.CHANGES])
    assert changes == {"bootfs": "LABEL=x", "timeout": "5"}


def test_looking_around():
    with Session() as session:
        session.fake.add("/d/one", b"1\x1b[2J\n2")
        rescue.ls("/d")
        rescue.cat("/d/one")
        rescue.plan()
        rescue.help()
    assert session.printed == ["one", "1?[2J\n2", "attempt x:\n> a step", rescue.HELP]
