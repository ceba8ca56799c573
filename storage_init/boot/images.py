# SPDX-License-Identifier: MIT
"""Which file on the boot filesystem is the image: by its id where the mini-initramfs has one."""

from collections import namedtuple

from storage_init.formats import ext4, superblock
from storage_init.kernel.abi import EINVAL, ENODEV, ENOENT, S_IFMT, S_IFREG
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional, Tuple

    from storage_init.formats.binding import Identity
    from storage_init.kernel.calls import Kernel

    Look = Callable[[str], "Image"]

# path: on the boot filesystem. filesystem: what superblock.identify found (None: none we know).
# size: of the file in bytes. pieces: of it on the device of the boot filesystem, as in ext4.Place;
# empty if that is mounted.
Image = namedtuple("Image", ("path", "filesystem", "size", "pieces"))

_AGAIN = "; build it again with initoverlayfs-install -f"


def look(kernel: "Kernel", boot: str, path: str) -> Image:
    """The image in a file of the filesystem mounted on `boot`. Raises OSError.

    Neither `..` nor a symbolic link leads out of there, and what is no regular file is refused.
    """
    fd = kernel.open_beneath(boot, path)
    try:
        stat = kernel.stat("", at=fd)
        if stat.mode & S_IFMT != S_IFREG:
            raise OSError(EINVAL, "image {} is not a regular file".format(path))
        found = superblock.identify(lambda at, size: kernel.pread(fd, at, size, path), stat.size)
        return Image(path, found, stat.size, [])
    finally:
        kernel.close(fd)


def look_on(kernel: "Kernel", device: str, path: str) -> Image:
    """The image in a file of the ext4 on a device, which is not mounted. Raises OSError.

    EOPNOTSUPP: it has to be mounted for that. See ext4.locate.
    """
    fd = kernel.open(device)
    try:

        def read(at: int, size: int) -> bytes:
            return kernel.pread(fd, at, size, device)

        place = ext4.locate(read, path)
        found = superblock.identify(ext4.reader(read, place), place.size)
        return Image(path, found, place.size, place.pieces)
    finally:
        kernel.close(fd)


def choose(look: "Look", names: "Tuple[str, ...]", identity: "Optional[Identity]") -> Image:
    """The first of these files that is the image of this identity; without one, the first file.

    look: gives the image in a file. Raises OSError: where none is, with what each file is instead.
    """
    if identity is None:
        image = look(names[0])
        _check_size(image, image.filesystem.size if image.filesystem else 0)
        return image
    others = []
    for name in names:
        try:
            image = look(name)
        except OSError as error:
            if error.errno != ENOENT or name == names[0]:
                others.append(reason(error))
            continue
        if name_of(image.filesystem) == identity.uuid:
            _check_size(image, identity.size)
            return image
        others.append("{} is {}".format(name, name_of(image.filesystem)))
    raise OSError(
        ENOENT,
        "this mini-initramfs belongs to image {}, and that is not there: {}{}".format(
            identity.uuid, ", ".join(others), _AGAIN
        ),
    )


def other(look: "Look", names: "Tuple[str, ...]", identity: "Optional[Identity]") -> Image:
    """The first of these files that is another image than that of the identity. Raises OSError."""
    missing = ""
    for name in names:
        try:
            image = look(name)
        except OSError as error:
            missing = missing or reason(error)
            continue
        if image.filesystem and (identity is None or name_of(image.filesystem) != identity.uuid):
            _check_size(image, image.filesystem.size)
            return image
    raise OSError(ENOENT, "there is no other image: " + (missing or names[0] + " is the same"))


def name_of(filesystem: "Optional[superblock.Filesystem]") -> str:
    """An image's id, for comparing and for people."""
    if filesystem is None:
        return "no filesystem that is known here"
    uuid: str = filesystem.uuid.lower()
    return uuid or "of type {} without an id".format(filesystem.type)


def _check_size(image: Image, size: int) -> None:
    if image.size < size:
        text = "image {} is cut off: {} of {} bytes are there"
        raise OSError(EINVAL, text.format(image.path, image.size, size) + _AGAIN)


def type_of(image: Image) -> str:
    """The type to mount it as. Raises OSError(ENODEV) where it is none we know."""
    if image.filesystem is None:
        text = "image {} holds no filesystem that is known here"
        raise OSError(ENODEV, text.format(image.path) + _AGAIN)
    kind: str = image.filesystem.type
    return kind


def require(uuid: str, path: str, filesystem: "Optional[superblock.Filesystem]") -> None:
    """Raises OSError(EINVAL) for a device that holds another image than that of this id, if any."""
    if uuid and name_of(filesystem) != uuid:
        text = "this mini-initramfs belongs to image {}, and {} is {}"
        raise OSError(EINVAL, text.format(uuid, path, name_of(filesystem)))


def require_release(kernel: "Kernel", root: str, release: str) -> None:
    """Raises OSError(EINVAL) for an image that has kernel modules, but none for this kernel."""
    directory = root + "/usr/lib/modules"
    if not kernel.exists(directory) or kernel.exists(directory + "/" + release):
        return
    others = " ".join(kernel.listdir(directory)) or "none"
    text = "the image has no modules for Linux {}; those it has are for: {}"
    raise OSError(EINVAL, text.format(release, others) + _AGAIN)
