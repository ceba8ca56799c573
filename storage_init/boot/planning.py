# SPDX-License-Identifier: MIT
"""The plan of a boot: which attempts it makes, decided before anything is done."""

from storage_init.boot import plan_image
from storage_init.boot.step import INITS, RESCUE, Attempt
from storage_init.boot.steps.devices import Delay, DiscoverRoot, FindDevice, WarnOfOthers
from storage_init.boot.steps.leave import ExecInit, SwitchRoot, WriteReport
from storage_init.boot.steps.modules import LoadHashes
from storage_init.boot.steps.stop import OpenPrompt, Refuse
from storage_init.boot.steps.system import ChooseInit, MountRoot, ReadInit
from storage_init.config import root
from storage_init.config.boot_settings import INIT, SYSTEMD
from storage_init.config.settings import REQUIRE
from storage_init.config.values import ITSELF, TIMEOUT
from storage_init.formats import binding
from storage_init.kernel.failure import BootFailure
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Sequence

    from storage_init.boot.step import Step
    from storage_init.config.cmdline import Word
    from storage_init.config.settings import Settings

# What the kernel would try on a root filesystem.
ROOT_INITS = ("/sbin/init", "/etc/init", "/bin/init", "/usr/lib/systemd/systemd")


def make(
    settings: "Settings",
    release: str,
    mode: str,
    words: "Sequence[Word]" = (),
    bound: "Optional[str]" = None,
) -> "List[Attempt]":
    """Return the attempts of a boot in their order, for a kernel of this release.

    mode: INIT or SYSTEMD. words: those of the kernel command line, for the root filesystem. bound:
    the text of binding.PATH, None without one. Pure, and raises nothing: an attempt that the
    settings rule out has one step, Refuse, which says why.
    """
    names = ["image"] + [name for name in settings.fallback.split(",") if name != "none"]
    if not settings.bootfs or settings.fs == ITSELF or settings.verity == REQUIRE:
        names = [name for name in names if name != "previous"]  # there can be none
    if settings.boot == "direct":
        names = ["direct"] + [name for name in names if name != "direct"]
    if mode == SYSTEMD:
        # Switching root is left to PID 1, and emergency.target takes the place of the prompt.
        names = [name for name in names if name in ("image", "previous")]
    elif not settings.shell:
        names = [name for name in names if name != RESCUE]
    return [_attempt(name, settings, release, mode, words, bound) for name in names]


def _attempt(
    name: str,
    settings: "Settings",
    release: str,
    mode: str,
    words: "Sequence[Word]",
    bound: "Optional[str]",
) -> Attempt:
    if name == RESCUE:
        return Attempt(name, _rescue())
    try:
        if name == "direct":
            steps = _direct(settings, root.parse(words))
        else:
            own = binding.parse(bound) if bound is not None else None
            writable = root.writable_reference(words)
            steps = plan_image.steps(settings, release, name, mode, own, writable)
    except (OSError, BootFailure) as error:
        return Attempt(name, [Refuse(reason(error))])
    return Attempt(name, _with_stops(steps, settings.stop) if mode == INIT else steps)


def leads_nowhere(attempts: "List[Attempt]") -> bool:
    """Return whether the settings rule out every attempt."""
    return not [attempt for attempt in attempts if not isinstance(attempt.steps[0], Refuse)]


def _with_stops(steps: "List[Step]", stop: str) -> "List[Step]":
    found: List[Step] = []
    for step in steps:
        if stop and step.break_point == stop:
            found.append(OpenPrompt(step))
        found.append(step)
    return found


def _rescue() -> "List[Step]":
    """Return the steps of the last attempt: the prompt, then what it may have mounted."""
    return [OpenPrompt(), ChooseInit(INITS), WriteReport(), SwitchRoot(), ExecInit()]


def _direct(settings: "Settings", found: "root.Root") -> "List[Step]":
    """Return the steps that boot the root filesystem without stage 2."""
    if settings.verity == REQUIRE and not _names_direct(settings):
        raise BootFailure("verity require: only if the configuration's fallback names direct")
    steps: List[Step] = [LoadHashes(False)]
    steps += plan_image.scan_scsi(settings)
    steps += _find_root(settings, found.reference)
    steps.append(MountRoot(found))
    if found.reference != root.DISCOVER:
        steps.append(WarnOfOthers(found.reference))
    inits = (found.init,) if found.init else ROOT_INITS
    return steps + [ChooseInit(inits), ReadInit(()), WriteReport(), SwitchRoot(), ExecInit()]


def _find_root(settings: "Settings", reference: str) -> "List[Step]":
    wait = settings.timeout if settings.rootwait == TIMEOUT else int(settings.rootwait)
    before: List[Step] = [Delay(settings.rootdelay)] if settings.rootdelay else []
    if reference != root.DISCOVER:
        return before + [FindDevice("root filesystem", reference, wait)]
    if not settings.bootfs:
        raise BootFailure(
            "there is no root= on the kernel command line, and no bootfs to tell the disk by"
        )
    boot = FindDevice("boot filesystem", settings.bootfs, settings.timeout, settings.bootfs_hint)
    return before + [DiscoverRoot(boot, wait)]


def _names_direct(settings: "Settings") -> bool:
    configured = settings.configured
    return (
        settings.boot == "direct"
        and "boot" in configured
        or ("fallback" in configured and "direct" in settings.fallback.split(","))
    )


def longest_wait(attempts: "List[Attempt]") -> int:
    """Return for how many seconds these attempts wait at most in all, besides at a prompt.

    A device is waited for once. Filesystems' modules have CHILD_LIMIT together; a driver counts
    while a device is waited for.
    """
    waits: Dict[str, int] = {}
    for attempt in attempts:
        for step in attempt.steps:
            for name, seconds in step.waits():
                waits[name] = max(waits.get(name, 0), seconds)
    return sum(waits.values())


def summary(attempts: "List[Attempt]", last: str) -> str:
    """Return the order of the attempts and the bound on their waiting, in one line.

    last: what follows if none works.
    """
    names = ", ".join([attempt.name for attempt in attempts])
    prompts = [1 for one in attempts for step in one.steps if isinstance(step, OpenPrompt)]
    text = "attempts: {}, then {}; they wait at most {} s in all{}"
    besides = ", besides at a prompt" if prompts else ""
    return text.format(names, last, longest_wait(attempts), besides)
