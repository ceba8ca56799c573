# SPDX-License-Identifier: MIT
from storage_init.boot import planning
from storage_init.boot.attempts import Boot
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


def actions(attempt):
    return [step.action for step in attempt.steps]


def why_not(attempt):
    assert actions(attempt) == ["refuse"]
    return attempt.steps[0].arguments[0]


def test_a_plan_describes_itself():
    settings = Settings()
    settings.read_configuration("bootfs UUID=x\nbootfstype ext4\nbootflags a=b\ntimeout 7\n")
    attempts = planning.make(settings, "6.12.1", INIT)
    text = "\n".join(planning.describe(attempts))
    for part in (
        "attempt image:",
        "load modules loop and erofs overlay",
        "skip the next two steps where it can be read without: take the image /initoverlayfs-6",
        "wait up to 7 s for UUID=x",
        "type ext4 ro,a=b",
        "take the image /initoverlayfs-6.12.1.img",
        "attach it on /stage1/image type (detected), from the file or else by loop",
        "tmpfs overlay (size=50%)",
    ):
        assert part in text, part


def test_every_step_is_one_the_executor_has():
    words = "root=UUID=r rd.shell rd.break"
    for mode, last in ((INIT, "exec_init"), (SYSTEMD, "report")):
        for attempt in make("bootfs UUID=x\n", words, mode):
            assert attempt.steps[-1].action == last, attempt.name
            for step in attempt.steps:
                assert hasattr(Boot, step.action), step.action


def test_without_a_boot_filesystem_it_says_what_to_set():
    image, direct = make("")
    assert "set bootfs in /etc/initoverlayfs.conf" in why_not(image)
    assert "there is no root=" in why_not(direct)
    assert planning.leads_nowhere([image, direct])
    attempts = make("", "root=/dev/sda1")
    assert not planning.leads_nowhere(attempts) and actions(attempts[1])[:2] == [
        "load_hashes",
        "find",
    ]


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
    assert attempt.name == "direct"
    assert actions(attempt) == [
        "load_hashes",
        "find",
        "mount_root",
        "compare",
        "choose_init",
        "read_init",
        "report",
        "switch_root",
        "exec_init",
    ]
    steps = {step.action: step.arguments for step in attempt.steps}
    assert steps["find"] == ("LABEL=r", 4, "", "root filesystem")
    assert steps["mount_root"] == ("", "a,b", True, "/initoverlayfs")
    assert steps["choose_init"] == ("/initoverlayfs", ("/x",))
    attempt = make("", "root=LABEL=r")[-1]
    assert [step.arguments[2] for step in attempt.steps if step.action == "mount_root"] == [False]


def test_rootwait_and_rootdelay():
    for words, wait, first in (
        ("", 30, "find"),
        ("rd.timeout=4", 4, "find"),
        ("rd.timeout=4 rootwait", 4, "find"),
        ("rd.timeout=4 rootwait=9", 9, "find"),
        ("rootwait=9 rootdelay=0", 9, "find"),
        ("rootwait=9 rootdelay=3", 9, "delay"),
    ):
        attempt = make("bootfs UUID=x\n", "root=LABEL=r " + words)[-1]
        steps = {step.action: step.arguments for step in attempt.steps}
        assert steps["find"] == ("LABEL=r", wait, "", "root filesystem"), words
        assert attempt.steps[1].action == first
        assert "delay" not in steps or steps["delay"] == (3,)
    for words in ("rootwait=0", "rootwait=x", "rootdelay", "rootdelay=301", "rootwait=99999"):
        settings = Settings()
        settings.read_cmdline(split(words)[0])
        assert len(settings.warnings) == 1, words
        assert (settings.rootwait, settings.rootdelay) == ("timeout", 0)


def test_discovery():
    words = "rw rd.timeout=4 rootwait=9 rootfstype=xfs rd.initoverlayfs.break=find"
    attempt = make("bootfs UUID=x\nbootfs_hint /dev/vda1\n", words)[-1]
    assert actions(attempt)[1:5] == ["prompt", "discover", "mount_root", "choose_init"]
    assert attempt.steps[2].arguments == ("UUID=x", 4, "/dev/vda1", 9)
    assert attempt.steps[3].arguments[:3] == ("xfs", "", True)
    text = "wait up to 4 s for UUID=x, and up to 9 s for the root partition of the same disk"
    assert attempt.steps[2].text == text


def test_the_longest_wait():
    for configuration, words, mode, seconds in (
        ("bootfs UUID=x\n", "root=UUID=y", INIT, 30 + 30 + 20),
        ("bootfs UUID=x\n", "root=UUID=x", INIT, 30 + 20),
        ("bootfs UUID=x\n", "root=UUID=x rootwait=40", INIT, 40 + 20),
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
        at = actions(image).index("prompt")
        assert planning._STOPS[image.steps[at + 1].action] == name
        assert image.steps[at].arguments[1] is False
        assert actions(image).count("prompt") == 1


def test_verity_require():
    for words in ("root=/dev/sda1 rd.shell rd.break", "root=/dev/sda1"):
        settings = Settings()
        settings.read_configuration("bootfs UUID=x\nverity require\n")
        settings.read_cmdline(split(words)[0])
        image, direct = planning.make(settings, "1", INIT, split(words)[0])
        assert "no root hash" in why_not(image) and "only if" in why_not(direct)
    attempts = make("bootfs UUID=x\nverity require\n", "", bound=BOUND)
    assert [attempt.name for attempt in attempts] == ["image", "direct"]
    assert not planning.leads_nowhere(attempts)
    for more in ("fallback direct\n", "boot direct\n"):
        attempts = make("bootfs UUID=x\nverity require\n" + more, "root=/dev/sda1")
        assert "mount_root" in [step.action for step in attempts[0].steps + attempts[-1].steps]


def test_where_a_boot_stands():
    attempts = make("bootfs UUID=x\n", "root=UUID=y")
    lines = planning.describe(attempts, ("direct", 2))
    assert [line for line in lines if line.startswith("> ")] == [
        "> mount it on /initoverlayfs type (detected) ro"
    ]
