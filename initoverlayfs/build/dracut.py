# SPDX-License-Identifier: MIT
"""Building both images with dracut, in a working directory; nothing outside it changes."""

import os
import re
import shlex
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from initoverlayfs.build import binding_file, initramfs, signature
from initoverlayfs.digest import sha256
from initoverlayfs.errors import Failure
from initoverlayfs.machine.build_settings import MICROPYTHON, PYTHON3, InstallSettings
from initoverlayfs.target import Target
from storage_init.config.boot_settings import COLDPLUG_BLOCK
from storage_init.config.settings import CONFIGURATION, REQUIRE
from storage_init.formats import superblock
from storage_init.formats.binding import PATH, SIGNATURE, parse

# Clusters of 64 KiB save another 7 %, and are what a file read from its start to its end wants.
# Linux reads them since 5.13.
_CLUSTERS = "-C65536"

# Programs and shared objects are mapped, and read a page here and a page there: of a large cluster
# most would be decompressed for nothing. Bytes, and the paths as an extended regular expression.
_MAPPED = 8192
_HINTS = "".join(
    f"{_MAPPED} {pattern}\n"
    for pattern in (r"\.so(\.|$)", "(^|/)s?bin/", "(^|/)lib/(systemd|udev)/[^/]*$")
)

# The mini-initramfs takes what dracut.conf says but for modules of dracut: with another one in
# it, there would be two that claim to be /init.
_MINI_CONF = """\
for file in "$dracutsysrootdir"/etc/dracut.conf \\
    "$dracutsysrootdir"/usr/lib/dracut/dracut.conf.d/*.conf \\
    "$dracutsysrootdir"/etc/dracut.conf.d/*.conf; do
    [ ! -r "$file" ] || . "$file"
done
add_dracutmodules="" force_add_dracutmodules="" uefi=no
add_drivers+=" {drivers} "
initoverlayfs_verity={verity}
"""


_UNPACK = """
    mkdir tree; cd tree
    for archive in ../stage2.cpio.*; do
        cpio --extract --quiet --make-directories --unconditional <"$archive"
        rm "$archive"
    done
"""


@dataclass(frozen=True)
class Mode:
    """A kind of mini-initramfs: the dracut module that makes it, and files it has to have.

    dracut does not fail where a module of its cannot install something.
    """

    module: str
    files: tuple[str, ...]


_UNITS = "usr/lib/systemd/system/pre-initoverlayfs"

MODES = {
    "init": Mode(
        "initoverlayfs",
        ("init", "etc/initoverlayfs.conf", "usr/lib/initoverlayfs/modules"),
    ),
    "systemd": Mode(
        "initoverlayfs-systemd",
        (
            *("init", "etc/initoverlayfs.conf", "usr/bin/storage-init", "etc/initrd-release"),
            *(_UNITS + ".target", _UNITS + ".service", _UNITS + "-switch-root.service"),
            *("etc/systemd/system/initrd.target", "usr/lib/systemd/systemd-udevd"),
        ),
    ),
}

_PYTHON3_MODE = Mode("initoverlayfs-python3", (*MODES["systemd"].files, "usr/bin/python3"))
_PYTHON3_NEEDED = "/usr/lib/dracut/modules.d/92initoverlayfs-python3/needed.py"


@dataclass(frozen=True)
class Job:
    """What to build. work: a path inside the target.

    Of the settings, those count here that are in the file alone; the runtime python3 goes with the
    mode systemd alone. drivers: modules that the mini-initramfs must contain to reach /boot.
    """

    target: Target
    release: str
    work: str
    settings: InstallSettings
    drivers: Sequence[str] = ()

    def dracut(self, builder: str, output: str, *options: str) -> None:
        """Run dracut, as the setting called `builder` says, to make work/output."""
        line = [*_words(self.settings, builder), "--force", "--reproducible"]
        # its own files too are where the next run removes them if this one is killed
        line += ["--tmpdir", self.work, *options]
        line += {"yes": ["--hostonly"], "no": ["--no-hostonly"]}.get(self.settings.hostonly, [])
        self.target.run([*line, f"{self.work}/{output}", self.release])

    def path(self, name: str) -> Path:
        """The path here of a file in the working directory."""
        return self.target.path(f"{self.work}/{name}")


def wants_hash_tree(settings: InstallSettings) -> bool:
    """Whether the image gets one: where no image boots without, it does whatever else is said."""
    return settings.hash_tree or settings.verity == REQUIRE


def _words(settings: InstallSettings, builder: str) -> list[str]:
    """The words of a builder's command line."""
    line = getattr(settings, builder)
    try:
        return shlex.split(line) or [line]
    except ValueError as error:
        raise Failure(f"{builder} {line}: {error}: correct it in {CONFIGURATION}") from None


def require_builders(target: Target, settings: InstallSettings) -> None:
    """Raises Failure for a builder that the target does not have."""
    for builder in ("initrd_builder", "initoverlayfs_builder"):
        command = _words(settings, builder)[0]
        if not target.has(command):
            raise Failure(
                f"{builder}: no {command} in {target.root}: correct it in {CONFIGURATION}"
            )


def require(target: Target) -> None:
    """Raises Failure for what is missing to build anything, before anything is built."""
    needed = (
        ("dracut", "dracut"),
        ("mkfs.erofs", "erofs-utils"),
        ("cpio", "cpio"),
        ("depmod", "kmod"),
    )
    for command, package in needed:
        if not target.has(command):
            raise Failure(f"no {command} in {target.root}: install the package {package} there")
    for name in ("/usr/lib/dracut/modules.d/90initoverlayfs", "/usr/bin/storage-init"):
        if not target.path(name).exists():
            raise Failure(f"no {target.path(name)}: install initoverlayfs there")


def require_veritysetup(target: Target) -> None:
    """Raises Failure for a target without veritysetup."""
    if not target.has("veritysetup"):
        raise Failure(
            f"no veritysetup in {target.root}, to make the hash tree: install the package"
            " cryptsetup-bin there (elsewhere: veritysetup, cryptsetup)"
        )


def require_runtime(target: Target, mode: str, runtime: str) -> None:
    """Raises Failure where the mode or the target cannot have this runtime."""
    if runtime != PYTHON3:
        return
    if mode != "systemd":
        raise Failure(
            f"runtime {runtime} needs systemd in the mini-initramfs, and the mode is {mode}:"
            f" add --mode systemd, or --runtime {MICROPYTHON}"
        )
    if not target.path(_PYTHON3_NEEDED).exists():
        raise Failure(f"no {target.path(_PYTHON3_NEEDED)}: install initoverlayfs there")
    lines = target.run([PYTHON3, "-I", _PYTHON3_NEEDED, "--missing"]).splitlines()
    if lines:
        modules, packages = zip(*(line.split() for line in lines))
        raise Failure(
            f"runtime {runtime}: python3 in {target.root} has no {', '.join(modules)}:"
            f" install there what Debian calls {', '.join(packages)}"
        )


def require_compressor(job: Job) -> None:
    """Raises Failure for an mkfs.erofs without the compressor, by trying it."""
    job.path("empty").mkdir()
    try:
        _mkfs(job, "empty.img", "empty", uuid.UUID(int=0))
    except Failure as failure:
        raise Failure(
            f"mkfs.erofs cannot do {' '.join(_compression(job))}: install an erofs-utils of version"
            f" 1.5 or later, built with that compressor, or change erofs_compression ({failure})"
        ) from None


def mini(job: Job) -> Path:
    """Return the mini-initramfs. Raises Failure if it lacks a file or a driver that it needs."""
    verity = "yes" if wants_hash_tree(job.settings) else "no"
    conf_text = _MINI_CONF.replace("{verity}", verity).replace("{drivers}", " ".join(job.drivers))
    job.path("conf").write_text(conf_text)
    job.path("conf.d").mkdir()
    conf = ("--conf", f"{job.work}/conf", "--confdir", f"{job.work}/conf.d")
    python3 = job.settings.runtime == PYTHON3
    mode = _PYTHON3_MODE if python3 else MODES[job.settings.initoverlayfs_init]
    job.dracut("initrd_builder", "mini", *conf, "-m", mode.module)
    names = initramfs.names(job.path("mini"))
    for name in mode.files:
        if name not in names:
            raise Failure(f"dracut made a mini-initramfs without {name}: its messages (-v) say why")
    missing = set(job.drivers) - set(initramfs.module_names(names))
    if missing:
        raise Failure(
            f"dracut made a mini-initramfs without {', '.join(sorted(missing))}, which this machine"
            " needs to reach /boot: see omit_drivers in dracut.conf, or what dracut says (-v)"
        )
    return job.path("mini")


def cpython_size(path: Path) -> int:
    """How many bytes an initramfs unpacks to CPython: 0 where it has none. Raises Failure."""
    part = re.compile(r"usr/(bin|lib|lib64)/python3")
    return sum(size for name, size in initramfs.sizes(path).items() if part.match(name))


def image(job: Job) -> Path:
    """The EROFS image of stage 2: what dracut puts into an initramfs, as a filesystem.

    Kernel modules are stored as they are and compressed by EROFS: compressed twice, they would
    take more room and more time to load. The image's UUID is derived from its content.
    """
    options = ["--no-compress", "--no-early-microcode", "--no-uefi"]
    if job.settings.coldplug == COLDPLUG_BLOCK:
        options += ["--add", "initoverlayfs-stage2"]
    job.dracut("initoverlayfs_builder", "stage2.cpio", *options)
    for number, (files, archive) in enumerate(initramfs.archives(job.path("stage2.cpio"))):
        # Early archives, such as one with ACPI tables (acpi_override in dracut.conf), are for the
        # kernel, which reads them from the mini-initramfs only.
        if initramfs.EARLY not in files:
            job.path(f"stage2.cpio.{number:03}").write_bytes(archive)
    _script(job, _UNPACK)
    digest = sha256(job.path("stage2.cpio"))
    # ... and from all else that its bytes depend on: two images of one id are the same image
    maker = job.target.program("mkfs.erofs")
    made_by = sha256(maker) if maker else ""
    tree = "verity" if wants_hash_tree(job.settings) else ""
    digest = " ".join([digest, made_by, *_compression(job), _HINTS, tree])
    job.path("stage2.cpio").unlink()
    _script(
        job,
        """
        python3 -I -m initoverlayfs.build.module_files tree/usr/lib/modules
        depmod -b tree "$1"
        """,
        job.release,
    )
    for name in ("init", "etc/initrd-release"):
        if not job.path("tree/" + name).is_symlink() and not job.path("tree/" + name).exists():
            raise Failure(
                f"dracut made a stage 2 without /{name}: its modules systemd and"
                " systemd-initrd are needed, see omit_dracutmodules in dracut.conf"
            )
    _mkfs(job, "image", "tree", uuid.uuid5(uuid.NAMESPACE_OID, digest))
    return job.path("image")


def bind(job: Job, mini: Path, image: Path) -> None:
    """Say in the mini-initramfs which image it belongs to; a hash tree and its signature if wanted.

    The signature is of the root hash as it stands in the dm-verity table.
    """
    with image.open("rb") as file:
        found = superblock.identify(lambda at, size: os.pread(file.fileno(), size, at))
    if found is None:
        raise Failure("mkfs.erofs made an image that is none")
    verity = ""
    if wants_hash_tree(job.settings):
        verity = binding_file.hash_tree(job.target, f"{job.work}/image", found.uuid)
    needed = binding_file.needs(job.target, f"{job.work}/tree")
    text = binding_file.text(found.uuid, image.stat().st_size, verity, needed)
    files = {PATH.lstrip("/"): text.encode()}
    tree = parse(text).verity
    if tree and job.settings.verity_key:
        files[SIGNATURE.lstrip("/")] = signature.sign(tree.root_hash, job.settings)
    archive = binding_file.archive(job.target, job.work, files)
    mini.write_bytes(initramfs.prefixed(archive, mini.read_bytes()))


def _script(job: Job, script: str, *arguments: str) -> None:
    job.target.run(["sh", "-ec", f'cd "{job.work}"\n{script}', "sh", *arguments])


def _compression(job: Job) -> list[str]:
    chosen = job.settings.erofs_compression
    return [] if chosen == "none" else ["-z" + chosen, _CLUSTERS]


def _mkfs(job: Job, output: str, tree: str, identity: uuid.UUID) -> None:
    job.path("hints").write_text(_HINTS)
    hints = [f"--compress-hints={job.work}/hints"]
    options = [*_compression(job), *hints, "-T0", f"-U{identity}", "--all-root"]
    job.target.run(["mkfs.erofs", *options, f"{job.work}/{output}", f"{job.work}/{tree}"])
