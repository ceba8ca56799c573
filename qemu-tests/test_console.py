# SPDX-License-Identifier: MIT
"""The rescue prompt and the break points work on the serial console."""

import re
from collections.abc import Sequence

import pytest

from harness import bootdisk
from harness.machine import Drive
from harness.running import Ending, Running
from harness.tiny import Outcome, Tiny

# The first test of a run also builds the guest.
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
    """Boot, and type each line at the prompt. lines: (input, pattern of the expected output)."""

    def meanwhile(vm: Running) -> None:
        prompts = 1
        for line, answer in lines:
            # Input is lost while a command runs, so wait for the next prompt, except to interrupt.
            if line != INTERRUPT:
                vm.wait_console(rf"(?s:({PROMPT}.*){{{prompts}}})")
                prompts += 1
            vm.type(line)
            vm.wait_console(answer)

    drives = drives or [Drive(tiny.disk())]
    mini = tiny.configured() if not conf else tiny.mini.configured(conf)
    return tiny.boot(mini, drives, words, meanwhile=meanwhile, keyboard=True)


@pytest.mark.platforms("uml", "qemu")
def test_retry_boots_from_another_filesystem(tiny: Tiny) -> None:
    """If no device has the configured UUID, devices() shows the right UUID, and retry() uses it.

    The first screen of the prompt lists the functions.
    """
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


def test_image_mounted_by_hand_boots(tiny: Tiny) -> None:
    """After mount() has mounted the boot disk and the image on it, go() boots the image.

    Before that, go() finds no init.
    """
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
    """The prompt opens before the named step, plan() shows that step, and go() continues."""
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


def test_ctrl_c_interrupts_and_ctrl_d_continues(tiny: Tiny) -> None:
    """rd.break opens the prompt. Ctrl-C interrupts a command, and Ctrl-D continues the boot."""
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


def test_ctrl_d_at_the_last_prompt_powers_off(tiny: Tiny) -> None:
    """If Ctrl-D leaves the last prompt, a line says so, and the emergency action follows."""
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
    """If no attempt succeeds and rd.shell is not set, the machine powers off without a prompt."""
    words = "rd.timeout=1 rd.emergency=poweroff"
    outcome = tiny.boot(tiny.mini.configured(f"bootfs {NEVER}\n"), [], words)
    assert outcome.ending is Ending.POWEROFF
    assert "rescue prompt" not in outcome.console and ">>>" not in outcome.console
