# SPDX-License-Identifier: MIT
"""What the steps of a plan do: one method for each that there can be."""

import json

from storage_init.boot import attach, images, prompt, switchroot, verity
from storage_init.boot.planning import describe
from storage_init.boot.search import Search
from storage_init.config.values import ITSELF
from storage_init.devices import hashes, modprobe
from storage_init.formats import ext4
from storage_init.formats.binding import SIGNATURE
from storage_init.kernel import devmapper
from storage_init.kernel.abi import EBUSY, ECANCELED, EINVAL, ENODEV, ENOENT, MS_RDONLY
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

    from storage_init.boot.images import Image
    from storage_init.boot.step import Attempt
    from storage_init.devices.modprobe import Loader
    from storage_init.devices.uevent import Events
    from storage_init.formats.binding import Identity, Verity
    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.log import Log


# Of a device-mapper device: it joins the pieces in which the image lies.
_JOINED = "initoverlayfs-image"

# Words the kernel took for environment that would steer an interpreter or a dynamic linker.
_DROPPED = (b"MICROPY", b"PYTHON", b"LD_")


class Steps(Search):
    """What a boot in progress can do, and what it has found so far. attempts.Boot makes it go.

    What differs between the modes is passed in: the loader, with the tables or with none, and
    the events, the kernel's or udev's.
    """

    def __init__(
        self,
        kernel: "Kernel",
        log: "Log",
        mode: str,
        loader: "Loader",
        events: "Events",
        arguments: "List[str]",
    ) -> None:
        super().__init__(kernel, log, loader, events)
        self._arguments = arguments
        self._loader = loader
        self._image: Optional[Image] = None
        # The device that the image has, unless it is mounted from its file: its path, an open fd of
        # the loop device below it, and the name that device-mapper has for it, if any.
        self._backing: Optional[Tuple[str, int, str]] = None
        self._init = ""
        self._hashes: List[str] = []  # the modules of load_hashes
        self._mode = mode
        self._report: Dict[str, object] = {}
        self._attempts: List[Attempt] = []
        self._at: Tuple[str, int] = ("", 0)  # the attempt and the number of its step
        self._left = False  # whether the root was switched: no attempt can follow

    def refuse(self, why: str) -> None:
        raise OSError(EINVAL, why)

    def prompt(self, why: str, last: bool) -> None:
        """Have the console decide. last: nothing follows if the prompt is left without a word."""
        lines = describe(self._attempts, self._at)
        going = prompt.ask(self._kernel, self._log, self._children, why, lines, last)
        if last and not going:
            raise OSError(ECANCELED, "the prompt was left")

    def load_hashes(self, verified: bool) -> None:
        found = hashes.fast(self._kernel)
        names = [name for name in found.values() if self._loader.has(name)]
        names = [name for name in names if self._loader.allowed(name)]
        if verified and found.get("sha256") not in names:
            names += hashes.GENERIC
        self._hashes = names
        self._workers.load_first(names)

    def load_ahead(self, chains: "List[List[str]]") -> None:
        found = []
        for chain in chains:
            found.append([modprobe.of_filesystem(name) for name in chain])
        self._workers.load_ahead(found)

    def _need_filesystem(self, fstype: str) -> None:
        self._workers.settle(modprobe.of_filesystem(fstype))

    def _to_mount(self, fstype: str) -> "Tuple[str, str]":
        """The device, and the type to mount it as: the configured one, else what was found."""
        assert self._device
        found = self._device.filesystem
        if not fstype and not found:
            path, _, kind = self._device
            text = "{} holds no filesystem that is known here: set its type"
            if kind != "unknown":
                text = "{} holds {}, no filesystem: that takes stage 2"
            raise OSError(ENODEV, text.format(path, kind))
        fstype = fstype or found.type
        self._need_filesystem(fstype)
        self._found_on(fstype)
        return self._device.path, fstype

    def _found_on(self, fstype: str) -> None:
        assert self._device
        self._report["device"] = self._device.path
        self._report["fstype"] = fstype

    def seek_image(self, names: "Tuple[str, ...]", other: bool, own: "Optional[Identity]") -> None:
        """Choose the image without mounting the boot filesystem, if that spares loading a driver.

        It gets its loop device here, because what goes wrong up to there leaves the boot filesystem
        to be mounted: what is wrong with the image is for choose_image to say then.
        """
        assert self._device
        device, _, kind = self._device
        if kind != ext4.TYPE:
            return
        try:
            if kind in self._kernel.read_text("/proc/filesystems").split():
                return
            choose = images.other if other else images.choose
            image = choose(lambda name: images.look_on(self._kernel, device, name), names, own)
            self._workers.settle("loop")
            self._attach_pieces(device, image)
        except OSError as error:
            self._let_go()
            self._log.debug("{} has to be mounted: {}".format(device, reason(error)))
            return
        self._image = image
        self._found_on(kind)

    def _attach_pieces(self, device: str, image: "Image") -> None:
        """Not by device-mapper alone, which would let nobody else have the partition."""
        if len(image.pieces) == 1:
            loop, fd = self._kernel.loop_attach(device, image.pieces[0][0], image.size)
            self._backing = (loop, fd, "")
            return
        self._workers.settle("dm_mod")
        end = max([offset + size for offset, size in image.pieces])
        loop, fd = self._kernel.loop_attach(device, 0, end)
        self._backing = (loop, fd, "")
        joined = devmapper.pieces(loop, image.pieces, image.size)
        path = self._kernel.dm_create(_JOINED, joined)
        self._backing = (path, fd, _JOINED)

    def mount_boot(self, fstype: str, options: str, target: str, writable_root: str) -> None:
        """Mount the boot filesystem, unless the image was found without.

        writable_root: what `root=` names if stage 2 mounts it read-write, else "". Raises
        OSError(EBUSY) if both are one filesystem: the image keeps it mounted read-only, and the
        kernel mounts no filesystem both ways, except btrfs.
        """
        if self._image:
            return
        path, fstype = self._to_mount(fstype)
        if writable_root and fstype != "btrfs" and self._finder.is_named(path, writable_root):
            text = "{} is also the root filesystem: the image would keep it mounted read-only, and"
            text += " the kernel command line says rw; put ro there to boot from the image"
            raise OSError(EBUSY, text.format(path))
        attach.boot_filesystem(self._kernel, self._log, path, fstype, options, target)

    def mount_root(self, fstype: str, options: str, writable: bool, target: str) -> None:
        path, fstype = self._to_mount(fstype)
        flags, data = attach.options(options, 0)
        writable = writable and not self._read_only
        flags = flags & ~MS_RDONLY if writable else flags | MS_RDONLY
        try:
            attach.mount(self._kernel, self._log, path, fstype, flags, data, target)
        except OSError as error:
            if error.errno != ENODEV:
                raise
            raise OSError(ENODEV, reason(error) + ": there is no driver here for " + fstype)

    def choose_image(
        self, boot: str, names: "Tuple[str, ...]", other: bool, own: "Optional[Identity]"
    ) -> None:
        if not self._image:
            choose = images.other if other else images.choose
            self._image = choose(lambda name: images.look(self._kernel, boot, name), names, own)

    def attach_device(
        self, fstype: str, uuid: str, wanted: "Optional[Verity]", corruption: str, target: str
    ) -> None:
        path, fstype = self._to_mount(fstype)
        assert self._device
        images.require(uuid, path, self._device.filesystem)
        if wanted:
            self._mount_verified(path, fstype, target, wanted, corruption)
        else:
            attach.device(self._kernel, path, fstype, target)
        self._attached(path, ITSELF, "device", "device " + fstype, wanted)

    def attach(
        self,
        boot: str,
        fstype: str,
        wanted: "Optional[Verity]",
        corruption: str,
        target: str,
    ) -> None:
        assert self._image and self._device
        path, _, size, pieces = self._image
        fstype = fstype or images.type_of(self._image)
        self._need_filesystem(fstype)
        if wanted and not self._backing:
            self._workers.settle("loop")
            loop, fd = self._kernel.loop_attach(boot + path)
            self._backing = (loop, fd, "")
        if self._backing:
            device = self._backing[0]
            if wanted:
                self._mount_verified(device, fstype, target, wanted, corruption)
            else:
                attach.device(self._kernel, device, fstype, target)
            how = "{} {} {}".format("loop as" if self._backing[2] else "loop", device, fstype)
            self._let_go()
        else:
            how = attach.image(
                self._kernel, boot + path, fstype, target, lambda: self._loader.load("loop")
            )
        by = "loop" if how.startswith("loop") else "file"
        if len(pieces) == 1:
            how += ", {} bytes from {} on of {}".format(size, pieces[0][0], self._device.path)
        elif pieces:
            how += ", {} bytes in {} pieces of {}".format(size, len(pieces), self._device.path)
        self._attached(path, path, by, how, wanted)

    def _let_go(self) -> None:
        """Leave the image's devices to what is mounted from them: they go with their last user."""
        if self._backing:
            _, fd, name = self._backing
            self._backing = None
            self._kernel.close(fd)
            try:
                if name:
                    self._kernel.dm_remove(name)
            except OSError as error:  # it stays, and holds the loop device: no reason to fail
                self._log.warning(reason(error))

    def _mount_verified(
        self, device: str, fstype: str, target: str, wanted: "Verity", corruption: str
    ) -> None:
        for module in self._hashes:
            try:
                self._workers.settle(module)
            except OSError as error:  # with none at all, dm-verity refuses its table
                self._log.debug(reason(error))
        self._workers.settle(verity.MODULE)
        signature = b""
        if self._kernel.exists(SIGNATURE):
            signature = self._kernel.read_file(SIGNATURE)
        verity.mount(self._kernel, device, fstype, target, wanted, corruption, signature)

    def _attached(
        self, where: str, path: str, by: str, how: str, wanted: "Optional[Verity]"
    ) -> None:
        checked = ", verified by root hash " + wanted.root_hash if wanted else ""
        self._log.info("image {} attached: {}{}".format(where, how, checked))
        self._report["image"] = path
        self._report["attach"] = by
        self._report["verity"] = wanted.root_hash if wanted else ""

    def check_release(self, target: str, release: str) -> None:
        images.require_release(self._kernel, target, release)

    def overlay(self, lower: str, upper: str, options: str, target: str) -> None:
        self._need_filesystem("overlay")
        attach.overlay(self._kernel, self._log, lower, upper, options, target)

    def choose_init(self, root: str, candidates: "Tuple[str, ...]") -> None:
        self._init = switchroot.choose_init(self._kernel, root, candidates)

    def read_init(self, root: str, needs: "Tuple[str, ...]") -> None:
        self._kernel.read_through(switchroot.inside(self._kernel, root, self._init))
        for path in needs:
            self._kernel.read_through(root + path)

    def detach(self, targets: "Tuple[str, ...]") -> None:
        """Have nothing mounted on these, whether or not the way taken has mounted all of them."""
        for target in targets:
            try:
                self._kernel.detach(target)
            except OSError as error:
                if error.errno not in (EINVAL, ENOENT):  # no mount point, no directory
                    raise

    def report(self, path: str) -> None:
        self._kernel.mkdir(path[: path.rfind("/")])
        self._kernel.write_file(path, json.dumps(self._report).encode())

    def switch_root(self, new_root: str) -> None:
        how = switchroot.switch_root(self._kernel, self._log, new_root)
        self._left = True
        self.close()  # not before: where it fails, the next attempt needs them
        self._log.info("root switched: " + how)

    def exec_init(self) -> None:
        environment = next_environment(self._kernel.read_file("/proc/self/environ"))
        self._log.info("exec " + self._init)
        self._kernel.execve(self._init, [self._init] + self._arguments, environment)


def next_environment(environ: bytes) -> "List[bytes]":
    """What of /proc/self/environ stage 2's init gets: all but what steers interpreters."""
    words = [word for word in environ.split(b"\0") if b"=" in word]
    return [word for word in words if not word.startswith(_DROPPED)]
