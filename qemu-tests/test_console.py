# SPDX-License-Identifier: MIT
"""The rescue prompt and the break points, by typing into the serial console."""

import re
from collections.abc import Sequence

import pytest

from harness import bootdisk
from harness.machine import Drive
from harness.running import Ending, Running
from harness.tiny import Outcome, Tiny

# the first case of a run also builds the guest
pytestmark = pytest.mark.timeout(900)

NEVER = "UUID=1f0e0000-0000-4000-8000-00000000404e"
PROMPT = "^>>> "
INTERRUPT = "\x03"


def session(
    tiny: Tiny,
    words: str,
    lines: Sequence[tuple[str, str]],
    conf: str = "",
    drives: Sequence[Drive] = (),
) -> Outcome:
    """Boot, and at the prompt type each line and wait for what it is to bring up on the console."""

    def meanwhile(vm: Running) -> None:
        prompts = 1
        for line, answer in lines:
            # what is typed while something runs is lost
            if line != INTERRUPT:
                vm.wait_console(rf"(?s:({PROMPT}.*){{{prompts}}})")
                prompts += 1
            vm.type(line)
            vm.wait_console(answer)

    drives = drives or [Drive(tiny.disk())]
    mini = tiny.configured() if not conf else tiny.mini.configured(conf)
    return tiny.boot(mini, drives, words, meanwhile=meanwhile, keyboard=True)


@pytest.mark.platforms("uml", "qemu")
def test_the_wrong_filesystem_is_put_right(tiny: Tiny) -> None:
    """The configured UUID is nowhere: the first screen says what there is, devices() shows the
    right one, retry() boots with it."""
    right = bootdisk.UUIDS["ext4"]
    outcome = session(
        tiny,
        "rd.shell rd.timeout=1",
        [
            ("devices()\r", rf'{tiny.device(0)} +33.6 MB  TYPE="ext4" UUID="{right}"'),
            ("plan()\r", r"^> open the rescue prompt"),
            ("1 + 2 * 3\r", r"^7$"),
            (f'retry(bootfs="UUID={right}")\r', "starting over"),
        ],
        conf=f"bootfs {NEVER}\n",
    )
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["attempt"] == "image"
    screen = outcome.console.partition("rescue prompt: no way to boot is left")[2]
    assert "This is MicroPython with these functions:" in screen
    for name in ("devices()", "mount(", "plan()", "retry(", "go()"):
        assert name in screen.partition(">>> ")[0], name


def test_what_is_mounted_by_hand_boots(tiny: Tiny) -> None:
    """mount() attaches the boot disk and the image on it; go() boots that, once it is there."""
    disk = tiny.device(0)
    outcome = session(
        tiny,
        "rd.shell rd.timeout=1",
        [
            ("go()\r", "no init to run"),
            (f'mount("{disk}", "/mnt")\r', rf"^initoverlayfs: mount {disk} on /mnt type ext4 ro"),
            ('ls("/mnt")\r', rf"^{re.escape(tiny.name)}  lost\+found"),
            (f'mount("/mnt/{tiny.name}", "/initoverlayfs")\r', "^(file-backed|loop .*) erofs"),
            ("go()\r", "exec /init"),
        ],
        conf=f"bootfs {NEVER}\n",
    )
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["attempt"] == "rescue"


@pytest.mark.parametrize("stop", ["find", "boot", "image", "overlay", "switch_root"])
def test_break_point(tiny: Tiny, stop: str) -> None:
    """Before the named step the prompt opens, with what was done until then; go() goes on."""
    step = {
        "find": "wait up to 30 s for the boot filesystem UUID",
        "boot": "mount the boot filesystem on /stage1/boot",
        "image": "locate the image /initoverlayfs",
        "overlay": "mount an overlay of a tmpfs",
        "switch_root": "move /dev /proc /sys /run",
    }[stop]
    outcome = session(
        tiny,
        f"rd.initoverlayfs.break={stop}",
        [("plan()\r", f"^> open the rescue prompt, before: {step}"), ("go()\r", "exec /init")],
    )
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert f"rescue prompt: before: {step}" in outcome.console


def test_rd_break_ctrl_c_and_ctrl_d(tiny: Tiny) -> None:
    """rd.break stops before the switch of root; Ctrl-C ends what runs, Ctrl-D goes on."""
    outcome = session(
        tiny,
        "rd.break",
        [
            (r"""exec('print("spin" + "ning")\nwhile 1: pass')""" + "\r", "^spinning"),
            (INTERRUPT, "KeyboardInterrupt"),
            ('print("st" + "ill here")\r', "^still here"),
            ("\x04", "exec /init"),
        ],
    )
    assert outcome.ending is Ending.POWEROFF and outcome.greeted, outcome.console
    assert outcome.boot["attempt"] == "image"


def test_leaving_the_last_prompt(tiny: Tiny) -> None:
    """Ctrl-D at the last prompt ends as planned, with a line that says so."""
    outcome = session(
        tiny,
        "rd.shell rd.timeout=1 rd.emergency=poweroff",
        [("\x04", "the prompt was left")],
        conf=f"bootfs {NEVER}\n",
    )
    assert outcome.ending is Ending.POWEROFF and not outcome.greeted
    assert outcome.lines[-2:] == [
        "rescue: the prompt was left",
        "no way to boot left: poweroff in 10 s",
    ]


def test_no_prompt_without_rd_shell(tiny: Tiny) -> None:
    """Nothing boots and nobody asked for a prompt: there is none."""
    words = "rd.timeout=1 rd.emergency=poweroff"
    outcome = tiny.boot(tiny.mini.configured(f"bootfs {NEVER}\n"), [], words)
    assert outcome.ending is Ending.POWEROFF
    assert "rescue prompt" not in outcome.console and ">>>" not in outcome.console
