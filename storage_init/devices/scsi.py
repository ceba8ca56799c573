# SPDX-License-Identifier: MIT
"""Scan the SCSI address of scsi.addr, for kernels that run with scsi_mod.scan=manual."""

from storage_init.kernel.log import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage_init.kernel.calls import Kernel
    from storage_init.kernel.children import Children
    from storage_init.kernel.log import Log

HOSTS = "/sys/class/scsi_host"


class Scan:
    """Scan one address, host:channel:target:lun, once its host exists.

    The scan also runs without scsi_mod.scan=manual: it does not affect a device that the kernel has
    already found.
    """

    def __init__(self, kernel: "Kernel", log: "Log", children: "Children", address: str) -> None:
        self._kernel = kernel
        self._log = log
        self._children = children
        self._address = address
        host, _, rest = address.partition(":")
        self._host: str = host
        self._file = "{}/host{}/scan".format(HOSTS, host)
        self._content = rest.replace(":", " ") + "\n"  # channel, target and LUN
        self._started = False

    def start(self) -> None:
        """Start the scan in a child if the host exists. A failure is only logged.

        The kernel sends commands to the device during the write, which can block for a minute or
        longer if the device does not respond.
        """
        if self._started or not self._kernel.exists(self._file):
            return
        self._started = True
        try:
            self._children.start(self._write)
        except OSError as error:
            self._log.warning("scan SCSI address {}: {}".format(self._address, reason(error)))

    def _write(self) -> None:
        driver = self._driver("host" + self._host)
        name = "scan SCSI address {} (driver {})".format(self._address, driver)
        try:
            self._kernel.write_file(self._file, self._content.encode())
        except OSError as error:
            raise OSError(error.errno, name + ": " + reason(error))
        self._log.info(name)

    def _driver(self, host: str) -> str:
        try:
            return self._kernel.read_text("{}/{}/proc_name".format(HOSTS, host)).strip()
        except OSError:
            return "unknown"

    def missing(self) -> str:
        """Return the end of the message that no disk has appeared; "" if the host exists."""
        if self._started:
            return ""
        try:
            hosts = self._kernel.listdir(HOSTS)
        except OSError:
            hosts = []
        found = ["{} ({})".format(host, self._driver(host)) for host in hosts]
        return "; scsi.addr {}: host{} does not exist; SCSI hosts: {}".format(
            self._address, self._host, ", ".join(found) or "none"
        )
