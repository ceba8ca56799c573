# SPDX-License-Identifier: MIT
"""Loading kernel modules in the order that was prepared when the image was built."""

from storage_init.config import cmdline
from storage_init.formats import module_tables
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Set, Tuple

    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.log import Log

# Modules that go by another name than the filesystem type they bring.
_OF_FILESYSTEMS = {"ext2": "ext4", "ext3": "ext4"}


class Loader:
    """Loads each module once, with what must come before and after it.

    index and aliases are those of module_tables; directory is /usr/lib/modules/<release>; words
    those of the kernel command line, for `module.parameter=` and the blacklists.
    """

    def __init__(
        self,
        kernel: "Kernel",
        log: "Log",
        index: "module_tables.Modules",
        aliases: "module_tables.Aliases",
        directory: str,
        words: "List[cmdline.Word]",
    ) -> None:
        self.aliases = aliases
        self._kernel = kernel
        self._log = log
        self._index = index
        self._directory = directory
        self._words = words
        self._done: Set[str] = set()
        self._blacklist = _blacklist(words)

    def settled(self, name: str) -> bool:
        """Whether there is nothing to be done for a module: loaded, failed, or not in the image."""
        return name in self._done or name not in self._index

    def mark(self, name: str) -> None:
        """Take note that another process has loaded it, or has failed to."""
        self._done.add(name)

    def order(self, name: str) -> "List[Tuple[str, List[str]]]":
        """What `load` loads, in its order: each module with those before it that it needs."""
        if name not in self._index:
            return []
        _, before, after = self._index[name]
        found: List[str] = []
        steps = []
        for other in before + [name] + after:
            if other in self._index and other not in found:
                needs = self._index[other][1] + ([name] if other in after else [])
                steps.append((other, [need for need in needs if need in found]))
                found.append(other)
        return steps

    def has(self, name: str) -> bool:
        """Whether the module is in the image."""
        return name.replace("-", "_") in self._index

    def load(self, name: str) -> None:
        """Load a module by its name, its dependencies first.

        One that is not in the image is taken to be built into the kernel: what needs it will say
        so. Raises OSError when the module itself cannot be loaded; a dependency's failure is
        logged, since soft ones (an accelerated checksum, say) may fail without harm.
        """
        name = name.replace("-", "_")
        if self.settled(name):
            return
        _, before, after = self._index[name]
        for other in before:
            self.attempt(other)
        self.load_alone(name)
        for other in after:
            self.attempt(other)

    def attempt(self, name: str) -> None:
        """Load a module, and not what it needs; that it fails is logged for debugging only."""
        if self.settled(name):
            return
        try:
            self.load_alone(name)
        except OSError as error:
            self._log.debug(reason(error))

    def load_alone(self, name: str) -> None:
        """Load a module that is in the image, and not what it needs. Raises OSError."""
        self._done.add(name)  # a module that failed once is not tried again
        parameters = cmdline.module_parameters(self._words, name)
        self._kernel.load_module(self._directory + "/" + self._index[name][0], parameters)
        self._log.debug("module " + name + (" " + parameters if parameters else ""))

    def allowed(self, name: str) -> bool:
        """Whether a module may be loaded that nothing depends on: not one on the blacklist."""
        if name not in self._blacklist:
            return True
        self._log.debug("module {} is on the blacklist".format(name))
        return False

    def asked(self, modalias: str) -> "List[str]":
        """The modules that a device asks for, less those on the blacklist."""
        return [name for name in self.aliases.lookup(modalias) if self.allowed(name)]

    def load_modalias(self, modalias: str) -> None:
        """Load what a device asks for. Failures are logged: another device may be the right one."""
        for name in self.asked(modalias):
            try:
                self.load(name)
            except OSError as error:
                self._log.warning(reason(error))


def of_filesystem(fstype: str) -> str:
    """The name of the module that brings a filesystem type."""
    return _OF_FILESYSTEMS.get(fstype, fstype)


def from_tables(kernel: "Kernel", log: "Log", release: str, words: "List[cmdline.Word]") -> Loader:
    """The loader for what the tables in this initramfs say. One that is missing is logged."""
    table = _table(kernel, log, module_tables.MODULES)
    index = module_tables.Modules(table)
    if table and table.count(b"\t") < 3:
        log.warning(module_tables.MODULES + " names no module")
    aliases = module_tables.Aliases(_table(kernel, log, module_tables.ALIASES))
    return Loader(kernel, log, index, aliases, "/usr/lib/modules/" + release, words)


def none(kernel: "Kernel", log: "Log") -> Loader:
    """A loader that loads nothing, for where others do that."""
    return Loader(kernel, log, module_tables.Modules(b""), module_tables.Aliases(b""), "", [])


def _table(kernel: "Kernel", log: "Log", path: str) -> bytes:
    try:
        return kernel.read_file(path, 16 << 20)
    except OSError as error:  # a kernel with everything built in boots without
        log.warning(reason(error))
        return b""


def _blacklist(words: "List[cmdline.Word]") -> "Set[str]":
    names: Set[str] = set()
    for key, value in words:
        if key in ("modprobe.blacklist", "rd.driver.blacklist") and value:
            names.update([name.replace("-", "_") for name in value.split(",")])
    return names
