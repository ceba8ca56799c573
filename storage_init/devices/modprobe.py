# SPDX-License-Identifier: MIT
"""Load kernel modules in the order that the tables of the mini-initramfs give."""

from storage_init.config import cmdline
from storage_init.formats import module_tables
from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Set, Tuple

    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.log import Log

# Modules whose name differs from the filesystem type that they implement.
_MODULE_OF_TYPE = {"ext2": "ext4", "ext3": "ext4"}


class Loader:
    """Load each module once, with its dependencies and soft dependencies.

    index, aliases: tables of module_tables. directory: /usr/lib/modules/<release>. words: of the
    kernel command line, for `module.parameter=` and the blacklists.
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

    def is_done(self, name: str) -> bool:
        """Return whether a module was loaded, has failed, or is not in this initramfs."""
        return name in self._done or name not in self._index

    def mark(self, name: str) -> None:
        """Record that another process has loaded a module, or failed to."""
        self._done.add(name)

    def order(self, name: str) -> "List[Tuple[str, List[str]]]":
        """Return the modules that `load` loads, in order, each with the earlier ones it needs."""
        if name not in self._index:
            return []
        _, before, after = self._index[name]
        found: List[str] = []
        entries = []
        for other in before + [name] + after:
            if other in self._index and other not in found:
                _, dependencies, _ = self._index[other]
                needs = dependencies + ([name] if other in after else [])
                entries.append((other, [need for need in needs if need in found]))
                found.append(other)
        return entries

    def has(self, name: str) -> bool:
        """Return whether the module is in this initramfs."""
        return name.replace("-", "_") in self._index

    def load(self, name: str) -> None:
        """Load a module by its name, after its dependencies.

        Does nothing for a module that is not in this initramfs: it may be built into the kernel.
        Raises OSError if the module itself cannot be loaded. A failed dependency is only logged,
        because a soft one (such as an accelerated checksum) may fail without harm.
        """
        name = name.replace("-", "_")
        if self.is_done(name):
            return
        _, before, after = self._index[name]
        for other in before:
            self.try_load(other)
        self.load_alone(name)
        for other in after:
            self.try_load(other)

    def try_load(self, name: str) -> None:
        """Load a module without its dependencies. A failure is a line of the debug log."""
        if self.is_done(name):
            return
        try:
            self.load_alone(name)
        except OSError as error:
            self._log.debug(reason(error))

    def load_alone(self, name: str) -> None:
        """Load a module of this initramfs without its dependencies. Raises OSError."""
        self._done.add(name)  # a module that failed is not retried
        parameters = cmdline.module_parameters(self._words, name)
        path, _, _ = self._index[name]
        self._kernel.load_module(self._directory + "/" + path, parameters)
        self._log.debug("loaded module " + name + (" " + parameters if parameters else ""))

    def allowed(self, name: str) -> bool:
        """Return whether a module may be loaded by modalias: it is not on the blacklist."""
        if name not in self._blacklist:
            return True
        self._log.debug("module {} not loaded: it is on the blacklist".format(name))
        return False

    def modules_for(self, modalias: str) -> "List[str]":
        """Return the modules that match a modalias, without those on the blacklist."""
        return [name for name in self.aliases.lookup(modalias) if self.allowed(name)]

    def load_modalias(self, modalias: str) -> None:
        """Load the modules for a device. A failure is only logged: other devices may suffice."""
        for name in self.modules_for(modalias):
            try:
                self.load(name)
            except OSError as error:
                self._log.warning(reason(error))


def of_filesystem(fstype: str) -> str:
    """Return the name of the module that implements a filesystem type."""
    return _MODULE_OF_TYPE.get(fstype, fstype)


def from_tables(kernel: "Kernel", log: "Log", release: str, words: "List[cmdline.Word]") -> Loader:
    """Return a loader for the tables in this initramfs. Logs a warning if one is missing."""
    table = _table(kernel, log, module_tables.MODULES)
    index = module_tables.Modules(table)
    if table and table.count(b"\t") < 3:
        log.warning(module_tables.MODULES + " lists no module; loading none")
    try:
        aliases = module_tables.Aliases(_table(kernel, log, module_tables.ALIASES))
    except MemoryError as error:
        log.warning("{}: {}; ignoring it".format(module_tables.ALIASES, reason(error)))
        aliases = module_tables.Aliases(b"")
    return Loader(kernel, log, index, aliases, "/usr/lib/modules/" + release, words)


def none(kernel: "Kernel", log: "Log") -> Loader:
    """Return a loader that loads nothing, for systemd mode, in which udev loads modules."""
    return Loader(kernel, log, module_tables.Modules(b""), module_tables.Aliases(b""), "", [])


def _table(kernel: "Kernel", log: "Log", path: str) -> bytes:
    try:
        return kernel.read_file(path, 16 << 20)
    except OSError as error:  # a kernel with all drivers built in boots without the tables
        log.warning(reason(error))
    except MemoryError as error:
        log.warning("read {}: {}; ignoring it".format(path, reason(error)))
    return b""


def _blacklist(words: "List[cmdline.Word]") -> "Set[str]":
    names: Set[str] = set()
    for key, value in words:
        if key in ("modprobe.blacklist", "rd.driver.blacklist") and value:
            names.update([name.replace("-", "_") for name in value.split(",")])
    return names
