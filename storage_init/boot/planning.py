# SPDX-License-Identifier: MIT
"""What a boot will do, decided before anything is done."""

from storage_init.boot import plan_image
from storage_init.boot.step import (
    INITS,
    NEW_ROOT,
    RESCUE,
    Attempt,
    Step,
    choose_init,
    compare,
    find,
    leave,
    load_hashes,
    read_init,
    report,
    scan_scsi,
)
from storage_init.config import root
from storage_init.config.boot_settings import BREAK, INIT, SYSTEMD
from storage_init.config.settings import REQUIRE
from storage_init.config.values import ITSELF, TIMEOUT
from storage_init.devices.workers import CHILD_LIMIT
from storage_init.formats import binding
from storage_init.kernel.abi import EINVAL, EPERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Sequence, Tuple

    from storage_init.config.cmdline import Word
    from storage_init.config.settings import Settings

# The step before which the settings may have a boot stop, by its action.
_STOPS = {
    "find": "find",
    "discover": "find",
    "mount_boot": "boot",
    "choose_image": "image",
    "attach_device": "image",
    "overlay": "overlay",
    "switch_root": BREAK,
}

# What the kernel would try on a root filesystem.
ROOT_INITS = ("/sbin/init", "/etc/init", "/bin/init", "/usr/lib/systemd/systemd")


def make(
    settings: "Settings",
    release: str,
    mode: str,
    words: "Sequence[Word]" = (),
    bound: "Optional[str]" = None,
) -> "List[Attempt]":
    """The attempts of a boot in their order, for a kernel of this release, in INIT or SYSTEMD mode.

    words: those of the kernel command line, for the root filesystem. bound: the text of
    binding.PATH, None without one. Pure, and raises nothing: an attempt that the settings rule
    out has one step, which says why.
    """
    names = ["image"] + [name for name in settings.fallback.split(",") if name != "none"]
    if not settings.bootfs or settings.fs == ITSELF or settings.verity == REQUIRE:
        names = [name for name in names if name != "previous"]  # there can be none
    if settings.boot == "direct":
        names = ["direct"] + [name for name in names if name != "direct"]
    if mode == SYSTEMD:
        # Switching root is PID 1's to do, and the prompt is emergency.target.
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
    except OSError as error:
        return Attempt(name, [Step("refuse", (error.args[1],), "not possible: " + error.args[1])])
    return Attempt(name, _with_stops(steps, settings.stop) if mode == INIT else steps)


def leads_nowhere(attempts: "List[Attempt]") -> bool:
    """Whether each of the attempts is one that the settings rule out."""
    return not [attempt for attempt in attempts if attempt.steps[0].action != "refuse"]


def _with_stops(steps: "List[Step]", stop: str) -> "List[Step]":
    found = []
    for step in steps:
        if stop and _STOPS.get(step.action) == stop:
            text = "open the rescue prompt, before: "
            found.append(Step("prompt", ("before: " + step.text, False), text + step.text))
        found.append(step)
    return found


def _rescue() -> "List[Step]":
    """The prompt, and what it may have prepared at NEW_ROOT."""
    prompt = Step("prompt", ("no way to boot is left", True), "open the rescue prompt")
    return [prompt, choose_init(INITS), report()] + leave()


def _direct(settings: "Settings", found: "root.Root") -> "List[Step]":
    """The root filesystem by itself, as the kernel would mount it without an initramfs."""
    if settings.verity == REQUIRE and not _names_direct(settings):
        raise OSError(EPERM, "verity require: only if the configuration's fallback names direct")
    inits = (found.init,) if found.init else ROOT_INITS
    ways = ("rw" if found.writable else "ro", found.options)
    text = "mount it on {} type {} {}".format(
        NEW_ROOT, found.fstype or "(detected)", ",".join([way for way in ways if way])
    )
    mount = Step("mount_root", (found.fstype, found.options, found.writable, NEW_ROOT), text)
    others = [compare(found.reference)] if found.reference != root.DISCOVER else []
    return (
        [load_hashes(False)]
        + scan_scsi(settings)
        + _find_root(settings, found.reference)
        + [mount]
        + others
        + [choose_init(inits), read_init(()), report()]
        + leave()
    )


def _find_root(settings: "Settings", reference: str) -> "List[Step]":
    wait = settings.timeout if settings.rootwait == TIMEOUT else int(settings.rootwait)
    delay = settings.rootdelay
    text = "load drivers for {} s first".format(delay)
    before = [Step("delay", (delay,), text)] if delay else []
    if reference != root.DISCOVER:
        return before + [find(reference, wait, "", "root filesystem")]
    boot = settings.bootfs
    if not boot:
        raise OSError(
            EINVAL,
            "there is no root= on the kernel command line, and no bootfs to tell the disk by",
        )
    text = "wait up to {} s for {}, and up to {} s for the root partition of the same disk"
    text = text.format(settings.timeout, boot, wait)
    return before + [Step("discover", (boot, settings.timeout, settings.bootfs_hint, wait), text)]


def _names_direct(settings: "Settings") -> bool:
    configured = settings.configured
    return (
        settings.boot == "direct"
        and "boot" in configured
        or ("fallback" in configured and "direct" in settings.fallback.split(","))
    )


def longest_wait(attempts: "List[Attempt]") -> int:
    """For how many seconds these attempts wait at the most, all in all, besides at a prompt.

    A device is waited for once. Filesystems' modules have CHILD_LIMIT together; a driver counts
    while a device is waited for.
    """
    waits: Dict[str, int] = {}
    for attempt in attempts:
        for step in attempt.steps:
            if step.action in ("find", "discover"):
                reference, timeout = step.arguments[:2]
                waits[reference] = max(waits.get(reference, 0), timeout)
            if step.action == "discover":
                waits[root.DISCOVER] = step.arguments[3]
            if step.action == "delay":
                waits["delay"] = step.arguments[0]
            if step.action == "load_ahead":
                waits["modules"] = CHILD_LIMIT
    return sum(waits.values())


def summary(attempts: "List[Attempt]", last: str) -> str:
    """The order of the attempts and the bound on their waiting, in a line. last: what is next."""
    names = ", ".join([attempt.name for attempt in attempts])
    prompts = [1 for attempt in attempts for step in attempt.steps if step.action == "prompt"]
    text = "attempts: {}, then {}; they wait at most {} s in all{}"
    besides = ", besides at a prompt" if prompts else ""
    return text.format(names, last, longest_wait(attempts), besides)


def describe(attempts: "List[Attempt]", at: "Tuple[str, int]" = ("", 0)) -> "List[str]":
    """The plan for people: a line an attempt, an indented line a step.

    at: the attempt and the number of its step to mark with an arrow.
    """
    lines = []
    for attempt in attempts:
        lines.append("attempt " + attempt.name + ":")
        for number, step in enumerate(attempt.steps):
            lines.append(("> " if at == (attempt.name, number) else "  ") + step.text)
    return lines
