# SPDX-License-Identifier: MIT
"""`scsi.addr`: scanning one SCSI address where the kernel was told to scan none by itself."""

from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.children import Children
    from storage_init.kernel.log import Log

HOSTS = "/sys/class/scsi_host"


class Scan:
    """Scans one address, host:channel:target:lun, once: when its host is there.

    That is done whether or not `scsi_mod.scan=manual` has kept the kernel from scanning: a device
    that is known already stays as it is.
    """

    def __init__(self, kernel: "Kernel", log: "Log", children: "Children", address: str) -> None:
        self._kernel = kernel
        self._log = log
        self._children = children
        self._address = address
        self._fields: List[str] = address.split(":")
        self._started = False

    def look(self) -> None:
        """Start the scan if the host is there. What fails is logged, no more.

        In a child: the kernel asks the device, and one that does not answer keeps the writer
        waiting for a minute or longer.
        """
        file = "{}/host{}/scan".format(HOSTS, self._fields[0])
        if self._started or not self._kernel.exists(file):
            return
        self._started = True
        try:
            self._children.start(lambda: self._write(file))
        except OSError as error:
            self._log.warning("scan SCSI address {}: {}".format(self._address, reason(error)))

    def _write(self, file: str) -> None:
        name = "scan SCSI address {}, a host of {}".format(self._address, self._driver(file[:-5]))
        try:
            self._kernel.write_file(file, (" ".join(self._fields[1:]) + "\n").encode())
        except OSError as error:
            raise OSError(error.errno, name + ": " + reason(error))
        self._log.info(name)

    def _driver(self, host: str) -> str:
        try:
            return self._kernel.read_text(host + "/proc_name").strip()
        except OSError:
            return "(unknown)"

    def missing(self) -> str:
        """What to add to the message that no disk has appeared: "" if the host was there."""
        if self._started:
            return ""
        try:
            hosts = self._kernel.listdir(HOSTS)
        except OSError:
            hosts = []
        there = ["{} of {}".format(host, self._driver(HOSTS + "/" + host)) for host in hosts]
        return "; scsi.addr {}: there is no host{}, but {}".format(
            self._address, self._fields[0], ", ".join(there) or "none at all"
        )
