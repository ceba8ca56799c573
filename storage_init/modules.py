# SPDX-License-Identifier: MIT
"""Loading kernel modules in the order that was prepared when the image was built."""

from storage_init import cmdline, modindex
from storage_init.compat import decode
from storage_init.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Set, Tuple

    from storage_init.children import Children
    from storage_init.kernel import Kernel
    from storage_init.log import Log

# Modules that go by another name than the filesystem type they bring.
_OF_FILESYSTEMS = {"ext2": "ext4", "ext3": "ext4"}


class Loader:
    """Loads each module once, with what must come before and after it.

    index and aliases are those of modindex; directory is /usr/lib/modules/<release>; words those
    of the kernel command line, for `module.parameter=` and the blacklists.
    """

    def __init__(
        self,
        kernel: "Kernel",
        log: "Log",
        index: "Dict[str, Tuple[str, List[str], List[str]]]",
        aliases: "modindex.Aliases",
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
        self._ahead: Dict[str, int] = {}

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
        if name in self._done or name not in self._index:
            return
        path, before, after = self._index[name]
        for other in before:
            self._attempt(other)
        self._one(name, path)
        for other in after:
            self._attempt(other)

    def _attempt(self, name: str) -> None:
        if name in self._done or name not in self._index:
            return
        try:
            self._one(name, self._index[name][0])
        except OSError as error:
            self._log.debug(reason(error))

    def _one(self, name: str, path: str) -> None:
        self._done.add(name)  # a module that failed once is not tried again
        parameters = cmdline.module_parameters(self._words, name)
        self._kernel.load_module(self._directory + "/" + path, parameters)
        self._log.debug("module " + name + (" " + parameters if parameters else ""))

    def load_modalias(self, modalias: str) -> None:
        """Load what a device asks for. Failures are logged: another device may be the right one."""
        for name in self.aliases.lookup(modalias):
            if name in self._blacklist:
                self._log.debug("module {} is on the blacklist".format(name))
                continue
            try:
                self.load(name)
            except OSError as error:
                self._log.warning(reason(error))

    def load_ahead(self, names: "List[str]", children: "Children") -> None:
        """Start loading modules in a child process; `settle` waits for it.

        Two chains that need the same module do no harm: the kernel loads it once.
        """
        names = [name for name in names if name in self._index and name not in self._done]
        if not names:
            return
        pid = children.start(lambda: self._load_all(names))
        for name in names:
            self._ahead[name] = pid

    def _load_all(self, names: "List[str]") -> None:
        for name in names:
            self.load(name)

    def settle(self, name: str, children: "Children", deadline: int) -> None:
        """Have module `name` loaded: wait for the child that loads it, or load it here.

        deadline is in milliseconds of Kernel.clock_ms. A child that failed has logged why; trying
        again here gives the error its place. Raises OSError.
        """
        pid = self._ahead.pop(name, 0)
        if pid and children.wait(pid, deadline) == 0:
            self._done.add(name)
        self.load(name)


def of_filesystem(fstype: str) -> str:
    """The name of the module that brings a filesystem type."""
    return _OF_FILESYSTEMS.get(fstype, fstype)


def from_tables(kernel: "Kernel", log: "Log", release: str, words: "List[cmdline.Word]") -> Loader:
    """The loader for what the tables in this initramfs say. One that is missing is logged."""
    table = _table(kernel, log, modindex.MODULES)
    index = modindex.parse_modules(decode(table))
    if table and not index:
        log.warning(modindex.MODULES + " names no module")
    aliases = modindex.Aliases(_table(kernel, log, modindex.ALIASES))
    return Loader(kernel, log, index, aliases, "/usr/lib/modules/" + release, words)


def none(kernel: "Kernel", log: "Log") -> Loader:
    """A loader that loads nothing, for where others do that."""
    return Loader(kernel, log, {}, modindex.Aliases(b""), "", [])


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
