# SPDX-License-Identifier: MIT
from storage_init.boot import planning
from storage_init.boot.step import Step, describe
from storage_init.boot.steps.stop import OpenPrompt, Refuse
from storage_init.config.boot_settings import BREAKS, INIT, SYSTEMD
from storage_init.config.cmdline import split
from storage_init.config.settings import Settings

UUID = "1f0e0000-0000-4000-8000-0000000071e5"
BOUND = "uuid {}\nsize 8192\nneeds /l\nverity 1 4096 4096 1 2 sha256 {} -\n".format(UUID, "ab" * 32)


def make(configuration, command_line="", mode=INIT, bound=None):
    settings = Settings()
    words = split(command_line)[0]
    settings.read_configuration(configuration)
    settings.read_cmdline(words)
    assert settings.warnings == []
    return planning.make(settings, "6.12.1", mode, words, bound)


def kinds(attempt):
    """The names of the steps' classes."""
    return [type(step).__name__ for step in attempt.steps]


def step(attempt, kind):
    """The one step of this class."""
    (found,) = [step for step in attempt.steps if type(step).__name__ == kind]
    return found


def why_not(attempt):
    (only,) = attempt.steps
    assert isinstance(only, Refuse)
    return only.reason


def test_a_plan_describes_itself():
    settings = Settings()
    settings.read_configuration("bootfs UUID=x\nbootfstype ext4\nbootflags a=b\ntimeout 7\n")
    attempts = planning.make(settings, "6.12.1", INIT)
    text = "\n".join(describe(attempts))
    for part in (
        "attempt image:",
        "start to load modules in parallel: loop, erofs overlay",
        "; without mounting if it is on an ext4 whose driver is not loaded, otherwise mount",
        "wait up to 7 s for the boot filesystem UUID=x",
        "type ext4 ro,a=b",
        "locate the image /initoverlayfs-6.12.1.img; ",
        "mount the image on /stage1/image type (detected) from its file or through a loop device",
        "overlay of a tmpfs (size=50%) and the image on /initoverlayfs",
    ):
        assert part in text, part


def test_every_step_describes_itself_and_can_run():
    words = "root=UUID=r rd.shell rd.break rootdelay=1 scsi.addr=0:0:0:0"
    for configuration in ("bootfs UUID=x\n", "bootfs UUID=x\nfs -\n", ""):
        for mode, last in ((INIT, "ExecInit"), (SYSTEMD, "WriteReport")):
            for attempt in make(configuration, words, mode, bound=BOUND):
                assert kinds(attempt)[-1] in (last, "Refuse"), attempt.name
                for one in attempt.steps:
                    assert one.describe() and type(one).run is not Step.run, one


def test_without_a_boot_filesystem_it_says_what_to_set():
    image, direct = make("")
    assert why_not(image) == (
        "no boot filesystem is configured: set bootfs in /etc/initoverlayfs.conf"
        " or rd.initoverlayfs.bootfs=UUID=... on the kernel command line"
    )
    assert "there is no root=" in why_not(direct)
    assert planning.leads_nowhere([image, direct])
    attempts = make("", "root=/dev/sda1")
    assert not planning.leads_nowhere(attempts)
    assert kinds(attempts[1])[:2] == ["LoadHashes", "FindDevice"]


def test_the_order_of_attempts():
    for configuration, words, names in (
        ("", "", "image previous direct"),
        ("", "rd.shell", "image previous direct rescue"),
        ("fallback rescue,previous\n", "rd.shell", "image rescue previous"),
        ("fallback none\n", "rd.shell", "image"),
        ("boot direct\n", "", "direct image previous"),
        ("fallback none\n", "rd.initoverlayfs=0", "direct image"),
    ):
        attempts = make("bootfs UUID=x\n" + configuration, words)
        assert " ".join([attempt.name for attempt in attempts]) == names, (configuration, words)


def test_direct():
    attempt = make("bootfs UUID=x\n", "root=LABEL=r rootflags=a,b rw init=/x rd.timeout=4")[-1]
    assert attempt.name == "direct" and not step(attempt, "LoadHashes").verified
    assert kinds(attempt) == [
        "LoadHashes",
        "FindDevice",
        "MountRoot",
        "WarnOfOthers",
        "ChooseInit",
        "ReadInit",
        "WriteReport",
        "SwitchRoot",
        "ExecInit",
    ]
    find = step(attempt, "FindDevice")
    assert (find.reference, find.timeout, find.hint) == ("LABEL=r", 4, "")
    root = step(attempt, "MountRoot").root
    assert (root.fstype, root.options, root.writable) == ("", "a,b", True)
    assert step(attempt, "ChooseInit").candidates == ("/x",)
    assert not step(make("", "root=LABEL=r")[-1], "MountRoot").root.writable


def test_rootwait_and_rootdelay():
    for words, wait, delay in (
        ("", 30, 0),
        ("rd.timeout=4", 4, 0),
        ("rd.timeout=4 rootwait", 4, 0),
        ("rd.timeout=4 rootwait=9", 9, 0),
        ("rootwait=9 rootdelay=0", 9, 0),
        ("rootwait=9 rootdelay=3", 9, 3),
    ):
        attempt = make("bootfs UUID=x\n", "root=LABEL=r " + words)[-1]
        find = step(attempt, "FindDevice")
        assert (find.what, find.reference, find.timeout) == ("root filesystem", "LABEL=r", wait)
        delays = [one.seconds for one in attempt.steps if type(one).__name__ == "Delay"]
        assert delays == ([delay] if delay else []), words
    for words in ("rootwait=0", "rootwait=x", "rootdelay", "rootdelay=301", "rootwait=99999"):
        settings = Settings()
        settings.read_cmdline(split(words)[0])
        assert len(settings.warnings) == 1, words
        assert (settings.rootwait, settings.rootdelay) == ("timeout", 0)


def test_discovery():
    words = "rw rd.timeout=4 rootwait=9 rootfstype=xfs rd.initoverlayfs.break=find"
    attempt = make("bootfs UUID=x\nbootfs_hint /dev/vda1\n", words)[-1]
    assert kinds(attempt)[1:5] == ["OpenPrompt", "DiscoverRoot", "MountRoot", "ChooseInit"]
    discover = step(attempt, "DiscoverRoot")
    assert (discover.boot.reference, discover.boot.hint) == ("UUID=x", "/dev/vda1")
    assert (discover.boot.timeout, discover.wait) == (4, 9)
    text = "wait up to 4 s for the boot filesystem UUID=x, then up to 9 s for the root partition"
    text += " of its disk"
    assert discover.describe() == text


def test_the_longest_wait():
    for configuration, words, mode, seconds in (
        ("bootfs UUID=x\n", "root=UUID=y", INIT, 30 + 30 + 20),
        ("bootfs UUID=x\n", "root=UUID=x", INIT, 30 + 20),
        ("bootfs UUID=x\n", "root=UUID=x rootwait=40", INIT, 40 + 20),
        ("bootfs UUID=x\n", "root=UUID=x rootwait=7", INIT, 30 + 20),
        ("bootfs UUID=x\n", "root=/dev/md0", INIT, 30 + 20),
        ("bootfs UUID=x\n", "rd.timeout=5", INIT, 5 + 5 + 20),
        ("bootfs UUID=x\n", "rootwait=7 rootdelay=300 root=UUID=y", INIT, 300 + 30 + 7 + 20),
        ("bootfs UUID=x\n", "root=UUID=y", SYSTEMD, 30),
        ("bootfs UUID=x\nfallback none\n", "root=UUID=y", INIT, 30 + 20),
        ("", "root=UUID=y", INIT, 30),
        ("", "", INIT, 0),
    ):
        assert planning.longest_wait(make(configuration, words, mode)) == seconds, words


def test_the_summary():
    text = planning.summary(make("bootfs UUID=x\nboot direct\n", "root=UUID=y"), "halt")
    assert text == "attempts: direct, image, previous, then halt; they wait at most 80 s in all"
    for words in ("root=UUID=y rd.shell", "root=UUID=y rd.break"):
        text = planning.summary(make("bootfs UUID=x\n", words), "reboot")
        assert text.endswith(" s in all, besides at a prompt")


def test_stops():
    for name in BREAKS:
        image = make("bootfs UUID=x\n", "rd.initoverlayfs.break=" + name)[0]
        (at,) = [at for at, one in enumerate(image.steps) if isinstance(one, OpenPrompt)]
        assert image.steps[at].before is image.steps[at + 1]
        assert image.steps[at + 1].break_point == name
        for attempt in make("bootfs UUID=x\n", "rd.initoverlayfs.break=" + name, SYSTEMD):
            assert "OpenPrompt" not in kinds(attempt), name


def test_verity_require():
    for words in ("root=/dev/sda1 rd.shell rd.break", "root=/dev/sda1"):
        settings = Settings()
        settings.read_configuration("bootfs UUID=x\nverity require\n")
        settings.read_cmdline(split(words)[0])
        image, direct = planning.make(settings, "1", INIT, split(words)[0])
        text = "verity require: this mini-initramfs has no root hash to verify by"
        assert why_not(image) == text
        text = "verity require: only if the configuration's fallback names direct"
        assert why_not(direct) == text
    attempts = make("bootfs UUID=x\nverity require\n", "", bound=BOUND)
    assert [attempt.name for attempt in attempts] == ["image", "direct"]
    assert not planning.leads_nowhere(attempts)
    for more, allowed in (
        ("fallback direct\n", True),
        ("fallback rescue,direct\n", True),
        ("boot direct\n", True),
        ("boot image\n", False),  # fallback names direct only by its default
    ):
        attempts = make("bootfs UUID=x\nverity require\n" + more, "root=/dev/sda1")
        (direct,) = [attempt for attempt in attempts if attempt.name == "direct"]
        assert ("MountRoot" in kinds(direct)) == allowed, more


def test_where_a_boot_stands():
    attempts = make("bootfs UUID=x\n", "root=UUID=y")
    lines = describe(attempts, ("direct", 2))
    assert [line for line in lines if line.startswith("> ")] == [
        "> mount the root filesystem on /initoverlayfs type (detected) ro"
    ]
