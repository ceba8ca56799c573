# SPDX-License-Identifier: MIT
"""Choosing the image on the boot filesystem, by the ID that the binding names."""

from collections import namedtuple

from storage_init.formats import ext4, superblock
from storage_init.kernel.abi import ENOENT, S_IFMT, S_IFREG
from storage_init.kernel.failure import BootFailure
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional, Tuple

    from storage_init.formats.binding import Identity
    from storage_init.kernel.calls import Kernel

    Look = Callable[[str], "Image"]

# path: on the boot filesystem. filesystem: what superblock.identify found, None if unknown. size:
# of the file in bytes. pieces: where it lies on the device of the boot filesystem, as in
# ext4.Place; empty if that is mounted.
Image = namedtuple("Image", ("path", "filesystem", "size", "pieces"))

_AGAIN = "; build it again with initoverlayfs-install -f"


def look(kernel: "Kernel", boot: str, path: str) -> Image:
    """Return the image in a file of the filesystem mounted on `boot`. Raises OSError.

    Neither `..` nor a symbolic link leads out of it. Raises BootFailure if the file is not regular.
    """
    fd = kernel.open_beneath(boot, path)
    try:
        stat = kernel.stat("", at=fd)
        if stat.mode & S_IFMT != S_IFREG:
            raise BootFailure("image {} is not a regular file".format(path))
        found = superblock.identify(lambda at, size: kernel.pread(fd, at, size, path))
        return Image(path, found, stat.size, [])
    finally:
        kernel.close(fd)


def look_on(kernel: "Kernel", device: str, path: str) -> Image:
    """Return the image in a file of the ext4 on a device, which is not mounted. Raises OSError.

    EOPNOTSUPP: the file can only be read from the mounted filesystem. See ext4.locate.
    """
    fd = kernel.open(device)
    try:

        def read(at: int, size: int) -> bytes:
            return kernel.pread(fd, at, size, device)

        place = ext4.locate(read, path)
        found = superblock.identify(ext4.reader(read, place))
        return Image(path, found, place.size, place.pieces)
    finally:
        kernel.close(fd)


class Choice:
    """Which file on the boot filesystem is the image: one of these paths, the preferred one first.

    binding: the image that this mini-initramfs belongs to, None if it belongs to none.
    """

    def __init__(self, paths: "Tuple[str, ...]", binding: "Optional[Identity]") -> None:
        self.paths = paths
        self.binding = binding

    def describe(self) -> str:
        raise NotImplementedError

    def choose(self, look: "Look") -> Image:
        """Return the image. look: returns the image in a file, or raises OSError or BootFailure.

        Raises BootFailure that says what each file is instead.
        """
        raise NotImplementedError


class BoundImage(Choice):
    """The image with the bound ID; without a binding, the first file whatever it is."""

    def describe(self) -> str:
        if self.binding is None:
            return "the image " + self.paths[0]
        return "image {} among {}".format(self.binding.uuid, " ".join(self.paths))

    def choose(self, look: "Look") -> Image:
        if self.binding is None:
            image = look(self.paths[0])
            return _whole(image, image.filesystem.size if image.filesystem else 0)
        others = []
        for path in self.paths:
            try:
                image = look(path)
            except OSError as error:
                if error.errno != ENOENT or path == self.paths[0]:
                    others.append(reason(error))
                continue
            except BootFailure as error:
                others.append(reason(error))
                continue
            if name_of(image.filesystem) == self.binding.uuid:
                return _whole(image, self.binding.size)
            others.append("{} is {}".format(path, name_of(image.filesystem)))
        raise BootFailure(
            "this mini-initramfs belongs to image {}, and that is not there: {}{}".format(
                self.binding.uuid, ", ".join(others), _AGAIN
            )
        )


class OtherImage(Choice):
    """The first image that does not have the bound ID."""

    def describe(self) -> str:
        if self.binding is None:
            return "the previous image " + self.paths[0]
        text = "an image other than {} among {}"
        return text.format(self.binding.uuid, " ".join(self.paths))

    def choose(self, look: "Look") -> Image:
        bound = self.binding.uuid if self.binding else ""
        missing = ""
        for path in self.paths:
            try:
                image = look(path)
            except (OSError, BootFailure) as error:
                missing = missing or reason(error)
                continue
            if image.filesystem and name_of(image.filesystem) != bound:
                return _whole(image, image.filesystem.size)
        missing = missing or self.paths[0] + " is the same"
        raise BootFailure("there is no other image: " + missing)


def name_of(filesystem: "Optional[superblock.Filesystem]") -> str:
    """Return an image's ID, for comparing and for people."""
    if filesystem is None:
        return "no filesystem that is known here"
    uuid: str = filesystem.uuid.lower()
    return uuid or "of type {} without an id".format(filesystem.type)


def _whole(image: Image, size: int) -> Image:
    """Return the image, whose file must have at least `size` bytes. Raises BootFailure."""
    if image.size < size:
        text = "image {} is cut off: {} of {} bytes are there"
        raise BootFailure(text.format(image.path, image.size, size) + _AGAIN)
    return image


def type_of(image: Image) -> str:
    """Return the type to mount it as. Raises BootFailure if it is unknown."""
    if image.filesystem is None:
        text = "image {} holds no filesystem that is known here"
        raise BootFailure(text.format(image.path) + _AGAIN)
    kind: str = image.filesystem.type
    return kind


def require(uuid: str, path: str, filesystem: "Optional[superblock.Filesystem]") -> None:
    """Raise BootFailure if a device holds another image than the one of this ID, "" for any."""
    if uuid and name_of(filesystem) != uuid:
        text = "this mini-initramfs belongs to image {}, and {} is {}"
        raise BootFailure(text.format(uuid, path, name_of(filesystem)))


def require_release(kernel: "Kernel", root: str, release: str) -> None:
    """Raise BootFailure if the mounted image has kernel modules, but none for this kernel."""
    directory = root + "/usr/lib/modules"
    if not kernel.exists(directory) or kernel.exists(directory + "/" + release):
        return
    others = " ".join(kernel.listdir(directory)) or "none"
    text = "the image has no modules for Linux {}; those it has are for: {}"
    raise BootFailure(text.format(release, others) + _AGAIN)
