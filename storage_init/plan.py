# SPDX-License-Identifier: MIT
"""What a boot will do, decided before anything is done."""

from collections import namedtuple

from storage_init import identity, root
from storage_init.abi import EINVAL, EPERM
from storage_init.knobs import BREAK, INIT, ITSELF, SYSTEMD, TIMEOUT
from storage_init.settings import REQUIRE
from storage_init.workers import CHILD_LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Sequence, Tuple

    from storage_init.settings import Settings, Word

# A step names a method of steps.Boot and its arguments, and describes itself.
Step = namedtuple("Step", ("action", "arguments", "text"))
Attempt = namedtuple("Attempt", ("name", "steps"))

NEW_ROOT = "/initoverlayfs"
BOOT = "/stage1/boot"
IMAGE = "/stage1/image"
OVERLAY = "/stage1/overlay"

REPORT = "/run/initoverlayfs/boot.json"

# Where an attempt mounts something, the latest first.
MOUNTS = (NEW_ROOT, OVERLAY, IMAGE, BOOT)

RESCUE = "rescue"

# Added to the name of an image while it is being published, and when a newer one takes its place.
NEW = ".new"
PREVIOUS = ".previous"

# The step before which the settings may have a boot stop, by its action.
_STOPS = {
    "find": "find",
    "discover": "find",
    "mount_boot": "boot",
    "choose_image": "image",
    "choose_other": "image",
    "attach_device": "image",
    "overlay": "overlay",
    "switch_root": BREAK,
}

# What stage 2 may call its first process: dracut's name, then those of a plain root. In systemd
# mode it is pre-initoverlayfs-switch-root.service that names it.
INITS = ("/init", "/sbin/init", "/usr/lib/systemd/systemd")
SYSTEMD_INITS = ("/init",)
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
    identity.PATH, None without one. Pure, and raises nothing: an attempt that the settings rule
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
            own = identity.parse(bound) if bound is not None else None
            steps = _image(settings, release, name, mode, own)
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
    return [prompt, _choose_init(INITS), _report()] + _leave()


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
    compare = [_compare(found.reference)] if found.reference != root.DISCOVER else []
    return (
        _scan_scsi(settings)
        + _find_root(settings, found.reference)
        + [mount]
        + compare
        + [_choose_init(inits), _read_init(()), _report()]
        + _leave()
    )


def _find_root(settings: "Settings", reference: str) -> "List[Step]":
    wait = settings.timeout if settings.rootwait == TIMEOUT else int(settings.rootwait)
    delay = settings.rootdelay
    text = "load drivers for {} s first".format(delay)
    before = [Step("delay", (delay,), text)] if delay else []
    if reference != root.DISCOVER:
        return before + [_find(reference, wait, "", "root filesystem")]
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


def _image(
    settings: "Settings", release: str, name: str, mode: str, own: "Optional[identity.Identity]"
) -> "List[Step]":
    if not settings.bootfs:
        raise OSError(
            EINVAL,
            "no boot filesystem is configured: set bootfs in /etc/initoverlayfs.conf"
            " or rd.initoverlayfs.bootfs=UUID=... on the kernel command line",
        )
    verity = own.verity if own and name == "image" and settings.verity != "off" else None
    if settings.verity == REQUIRE and verity is None:
        raise OSError(EPERM, "verity require: this mini-initramfs has no root hash to verify by")
    if settings.fs == ITSELF:
        image = [_attach_device(settings, own, verity)]
    else:
        image = _image_in_file(settings, release, name, own, verity)
    image.append(_check_release(release))
    needs = own.needs if own and name == "image" else ()
    if mode == SYSTEMD:  # udev and the kernel have kmod load modules
        return _assemble(settings, image, SYSTEMD_INITS, needs)
    return [_load_ahead(settings, verity)] + _assemble(settings, image, INITS, needs) + _leave()


def _load_ahead(settings: "Settings", verity: "Optional[identity.Verity]") -> Step:
    ahead = [[settings.fstype or "erofs", "overlay"]]
    if verity:
        ahead.append(["dm_verity"] if settings.fs == ITSELF else ["dm_verity", "loop"])
    if settings.bootfstype and settings.fs != ITSELF:
        ahead.insert(0, [settings.bootfstype])
    chains = " and ".join([" ".join(chain) for chain in ahead])
    return Step(
        "load_ahead", (ahead,), "load modules " + chains + ", side by side with what follows"
    )


def _assemble(
    settings: "Settings",
    image: "List[Step]",
    inits: "Tuple[str, ...]",
    needs: "Tuple[str, ...]",
) -> "List[Step]":
    """From nothing to a new root that holds on to nothing but itself."""
    find = _find(settings.bootfs, settings.timeout, settings.bootfs_hint, "boot filesystem")
    mounted: Tuple[str, ...] = (OVERLAY, IMAGE)
    if settings.fs != ITSELF:
        mounted += (BOOT,)
    return (
        _scan_scsi(settings)
        + [find]
        + image
        + [
            Step(
                "overlay",
                (IMAGE, OVERLAY, settings.overlay, NEW_ROOT),
                "stack a tmpfs overlay ({}) on it at {}".format(settings.overlay, NEW_ROOT),
            ),
            _compare(settings.bootfs),
            _choose_init(inits),
            _read_init(needs),
            Step("detach", (mounted,), "detach " + " ".join(mounted)),
            _report(),
        ]
    )


def _find(reference: str, timeout: int, hint: str, what: str) -> Step:
    text = "wait up to {} s for {}".format(timeout, reference)
    return Step("find", (reference, timeout, hint, what), text)


def _compare(reference: str) -> Step:
    # This late, so that nothing waits for it, and devices that are probed side by side are there.
    return Step("compare", (reference,), "warn if another device is " + reference)


def _choose_init(inits: "Tuple[str, ...]") -> Step:
    return Step("choose_init", (NEW_ROOT, inits), "choose its init of " + " ".join(inits))


def _read_init(needs: "Tuple[str, ...]") -> Step:
    text = "read it and {} files that it needs, to see faults while there is another way"
    return Step("read_init", (NEW_ROOT, needs), text.format(len(needs)))


def _report() -> Step:
    return Step("report", (REPORT,), "write " + REPORT)


def _scan_scsi(settings: "Settings") -> "List[Step]":
    address = settings.scsi_addr
    text = "as soon as the SCSI host of {} is there, scan that address".format(address)
    return [Step("scan_scsi", (address,), text)] if address else []


def _attach_device(
    settings: "Settings",
    own: "Optional[identity.Identity]",
    verity: "Optional[identity.Verity]",
) -> Step:
    fstype = settings.fstype or settings.bootfstype
    uuid = own.uuid if own else ""
    text = "attach it, which has to be {},".format(uuid) if uuid else "attach it"
    return Step(
        "attach_device",
        (fstype, uuid, verity, settings.verity_corruption, IMAGE),
        "{} as the image on {} type {}{}".format(
            text, IMAGE, fstype or "(detected)", _verified(settings, verity)
        ),
    )


def _image_in_file(
    settings: "Settings",
    release: str,
    name: str,
    own: "Optional[identity.Identity]",
    verity: "Optional[identity.Verity]",
) -> "List[Step]":
    path = settings.fs.replace("%v", release)
    options = ",".join(["ro"] + ([settings.bootflags] if settings.bootflags else []))
    text = "attach it on {} type {}, ".format(IMAGE, settings.fstype or "(detected)")
    text += "by loop" + _verified(settings, verity) if verity else "from the file or else by loop"
    return [
        Step(
            "mount_boot",
            (settings.bootfstype, settings.bootflags, BOOT),
            "mount it on {} type {} {}".format(BOOT, settings.bootfstype or "(detected)", options),
        ),
        _choose(path, name, own),
        Step("attach", (BOOT, settings.fstype, verity, settings.verity_corruption, IMAGE), text),
    ]


def _choose(path: str, name: str, own: "Optional[identity.Identity]") -> Step:
    names: Tuple[str, ...] = (path,)
    if name == "previous":
        names = (path + PREVIOUS, path) if own else (path + PREVIOUS,)
        text = "take the image " + " or ".join(names)
        return Step("choose_other", (BOOT, names, own), text + ", which has to be another one")
    if own is None:
        return Step("choose_image", (BOOT, names, own), "take the image " + path)
    names += (path + NEW, path + PREVIOUS)
    text = "take of {} the image {}".format(" ".join(names), own.uuid)
    return Step("choose_image", (BOOT, names, own), text)


def _verified(settings: "Settings", verity: "Optional[identity.Verity]") -> str:
    if verity is None:
        return ""
    text = ", verified by root hash {} (a wrong block: {})"
    return text.format(verity.root_hash, settings.verity_corruption)


def _check_release(release: str) -> Step:
    text = "check that it has modules for Linux {}, if it has any".format(release)
    return Step("check_release", (IMAGE, release), text)


def _leave() -> "List[Step]":
    text = "move /dev /proc /sys /run, switch root to {}, delete the old initramfs"
    return [
        Step("switch_root", (NEW_ROOT,), text.format(NEW_ROOT)),
        Step("exec_init", (), "exec the init with the kernel's arguments"),
    ]


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
