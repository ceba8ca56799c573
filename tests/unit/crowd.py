# SPDX-License-Identifier: MIT
"""A fake machine with thousands of devices, and tables with every module of a Debian kernel.

The fake computes names and contents when they are read, so that only storage-init needs memory.
"""

from support import FakeSyscalls

MODULES = 4200
BLOCK = "/sys/class/block"
PCI = "/sys/bus/pci/devices"


def modalias(number):
    """Return the modalias of the PCI device that the module of this number drives."""
    return "pci:v{:08X}d{:08X}sv00001028sd{:08X}bc02sc00i00".format(
        0x8086 + number % 7, number, number
    )


def name(number):
    return "driver_{:04d}".format(number)


def modules_table():
    """Return a load order of MODULES modules, each with up to five to load before it."""
    lines = ["# initoverlayfs modules 1"]
    for number in range(MODULES):
        before = " ".join([name(number // 8 * 8 + at) for at in range(number % 6)])
        path = "kernel/drivers/net/ethernet/vendor/{}.ko.xz".format(name(number))
        lines.append("\t".join((name(number), path, before, "")))
    return "\n".join(lines).encode() + b"\n"


def aliases_table():
    """Return six aliases for each module, more than 1 MB in all."""
    lines = []
    for number in range(MODULES):
        # The table is sorted by vendor, then by device.
        lines.append((modalias(number)[:24], name(number)))
    lines.sort()
    parts = [b"# pci:24\n"]
    for prefix, module in lines:
        for sub in range(6):
            parts.append("{}\t*sd{:08X}bc*sc*i*\t{}\n".format(prefix, sub, module).encode())
            if sub == 5:
                parts.append("{}\t*sd*bc*sc*i*\t{}\n".format(prefix, module).encode())
    return b"".join(parts)


class Crowd(FakeSyscalls):
    """FakeSyscalls with `blocks` disks and `devices` PCI devices.

    Directories list their names in an order like that of sysfs, which is not sorted. The last disk
    has the content `wanted`, the others `other`.
    """

    def __init__(self, files, disks=0, devices=0, wanted=b"", other=b""):
        super().__init__(files)
        self._counts = {BLOCK: disks, PCI: devices}
        self._wanted = wanted
        self._other = other
        self._opened = {}  # descriptor -> path of a computed file or directory
        self.probed = 0

    def _entry(self, directory, number):
        return ("disk{:05d}" if directory == BLOCK else "0000:{:05x}").format(number)

    def _computed(self, path):
        """Return the content of a computed file, None for another path."""
        if path.startswith(BLOCK + "/disk") and path.endswith("/size"):
            return b"100\n"
        if path.startswith(PCI + "/0000:") and path.endswith("/modalias"):
            number = int(path.split("/")[-2][5:], 16)
            return modalias(number).encode() + b"\n"
        if path.startswith("/dev/disk"):
            self.probed += 1
            last = int(path[len("/dev/disk") :]) == self._counts[BLOCK] - 1
            return self._wanted if last else self._other
        return None

    def sc_open(self, at, path, flags, mode):
        content = b"" if self._counts.get(path) else self._computed(path)
        if content is None:
            return super().sc_open(at, path, flags, mode)
        self._next_fd += 1
        self._opened[self._next_fd] = [path, content, 0]
        return self._next_fd

    def sc_close(self, fd):
        return 0 if self._opened.pop(fd, None) else super().sc_close(fd)

    def sc_read(self, fd, buffer, size):
        if fd not in self._opened:
            return super().sc_read(fd, buffer, size)
        data = self._opened[fd][1][:size]
        self._opened[fd][1] = b""
        buffer[: len(data)] = data
        return len(data)

    def sc_pread(self, fd, buffer, size, offset):
        if fd not in self._opened:
            return super().sc_pread(fd, buffer, size, offset)
        data = self._opened[fd][1][offset : offset + size]
        buffer[: len(data)] = data
        return len(data)

    def sc_getdents(self, fd, buffer, size):
        if fd not in self._opened:
            return super().sc_getdents(fd, buffer, size)
        path, _, done = self._opened[fd]
        count = self._counts[path]
        at = 0
        while done < count and at + 32 < size:
            entry = b"\x0a" + self._entry(path, done * 7919 % count).encode() + b"\0"
            buffer[at : at + len(entry)] = entry
            at += len(entry)
            done += 1
        self._opened[fd][2] = done
        return at
