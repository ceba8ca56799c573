# SPDX-License-Identifier: MIT
"""List the words of the kernel command line that only stage 2 can serve.

docs/settings.md shows the table.
"""

from storage_init.config.values import FALSE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

# (word, program that reads it), sorted for a binary search: a dict would cost time at each boot.
# `word=` counts only with a value, `word` also without one.
WORDS = (
    ("bond=", "dracut"),
    ("boot=", "initramfs-tools"),
    ("break", "initramfs-tools"),
    ("bridge=", "dracut"),
    ("cifsroot=", "dracut"),
    ("combustion.firstboot", "Ignition"),
    ("composefs=", "OSTree"),
    ("crypt_root=", "genkernel"),
    ("cryptdevice=", "mkinitcpio"),
    ("cryptdm=", "mkinitfs"),
    ("cryptkey=", "mkinitcpio"),
    ("cryptopts=", "initramfs-tools"),
    ("cryptroot=", "mkinitfs"),
    ("dodmraid", "genkernel"),
    ("dolvm", "genkernel"),
    ("domdadm", "genkernel"),
    ("domultipath", "genkernel"),
    ("dozfs", "genkernel"),
    ("fcoe=", "dracut"),
    ("findiso=", "casper and live-boot"),
    ("fips", "dracut"),
    ("flatcar.first_boot", "Ignition"),
    ("fromiso=", "casper and live-boot"),
    ("ifname=", "dracut"),
    ("ignition.firstboot", "Ignition"),
    ("inst.stage2=", "dracut"),
    ("ip=", "dracut"),
    ("iscsi_firmware", "dracut"),
    ("iscsi_initiator=", "dracut"),
    ("iso-scan/filename=", "casper and live-boot"),
    ("layerfs-path=", "casper and live-boot"),
    ("live-media-path=", "casper and live-boot"),
    ("live-media=", "casper and live-boot"),
    ("luks", "systemd"),
    ("luks.crypttab", "systemd"),
    ("luks.data=", "systemd"),
    ("luks.key=", "systemd"),
    ("luks.name=", "systemd"),
    ("luks.options=", "systemd"),
    ("luks.uuid=", "systemd"),
    ("lvmwait=", "mkinitcpio"),
    ("md=", "mkinitcpio"),
    ("mount.usr=", "systemd"),
    ("multipath=", "initramfs-tools"),
    ("nameserver=", "dracut"),
    ("nbdroot=", "dracut"),
    ("netboot=", "casper and live-boot"),
    ("netroot=", "dracut"),
    ("nfsaddrs=", "initramfs-tools"),
    ("nfsroot=", "initramfs-tools"),
    ("ostree=", "OSTree"),
    ("overlayroot=", "overlayroot"),
    ("overlaytmpfs", "mkinitfs"),
    ("persistence", "casper and live-boot"),
    ("persistent", "casper and live-boot"),
    ("rd.auto", "dracut"),
    ("rd.bootif", "dracut"),
    ("rd.break=", "dracut"),
    ("rd.cmdline=", "dracut"),
    ("rd.convertfs", "dracut"),
    ("rd.driver.post=", "dracut"),
    ("rd.driver.pre=", "dracut"),
    ("rd.neednet", "dracut"),
    ("rd.rescue", "systemd"),
    ("rd.route=", "dracut"),
    ("rd.systemd.break=", "systemd"),
    ("rd.systemd.debug_shell", "systemd"),
    ("rd.systemd.mask=", "systemd"),
    ("rd.systemd.mount_extra=", "systemd"),
    ("rd.systemd.swap_extra=", "systemd"),
    ("rd.systemd.unit=", "systemd"),
    ("rd.systemd.wants=", "systemd"),
    ("real_root=", "genkernel"),
    ("resume=", "systemd"),
    ("roothash=", "systemd"),
    ("roothashsig=", "systemd"),
    ("systemd.verity_root_data=", "systemd"),
    ("systemd.verity_root_hash=", "systemd"),
    ("systemd.verity_usr_data=", "systemd"),
    ("systemd.verity_usr_hash=", "systemd"),
    ("systemd.volatile", "systemd"),
    ("team=", "dracut"),
    ("toram", "casper and live-boot"),
    ("usrhash=", "systemd"),
    ("usrhashsig=", "systemd"),
    ("vlan=", "dracut"),
    ("zfs=", "initramfs-tools"),
)

# (start of words, program that reads them)
PREFIXES = (
    ("rd.dasd", "dracut"),
    ("rd.dm", "dracut"),
    ("rd.fcoe", "dracut"),
    ("rd.iscsi", "dracut"),
    ("rd.kiwi", "dracut"),
    ("rd.live", "dracut"),
    ("rd.lvm", "dracut"),
    ("rd.md", "dracut"),
    ("rd.multipath", "dracut"),
    ("rd.nbd", "dracut"),
    ("rd.nfs", "dracut"),
    ("rd.nvmf", "dracut"),
    ("rd.overlay", "dracut"),
    ("rd.writable", "dracut"),
    ("rd.zfcp", "dracut"),
    ("rd.zfs", "dracut"),
    ("rd.znet", "dracut"),
    ("rd.luks", "systemd"),
    ("archiso", "mkinitcpio"),
)

# Values that request nothing. dracut: getargbool() of dracut-lib.sh. systemd: parse_boolean().
# The others: ip=none, overlayroot=disabled, multipath=off, and boot=local of initramfs-tools.
_NOTHING = ("0", "no", "off", "none", "disabled", "local")


def reader(key: str, value: "Optional[str]") -> str:
    """Return the program of stage 2 that serves a word, "" if stage 1 needs no stage 2 for it.

    In words of systemd, `-` and `_` are equivalent.
    """
    program = _find(key) or (_find(key + "=") if value else "")
    if not program and "-" in key:
        key = key.replace("-", "_")
        program = _find(key) or (_find(key + "=") if value else "")
        program = program if program == "systemd" else ""
    if not program and key.startswith(("rd.", "archiso")):
        for prefix, owner in PREFIXES:
            if key.startswith(prefix):
                program = owner
                break
    if not program or value is None:
        return program
    if value in _NOTHING or program == "systemd" and value.lower() in FALSE:
        return ""
    if key == "boot" and ("/" in value or "=" in value):  # the boot filesystem, for dracut's fips
        return ""
    return program


def _find(word: str) -> str:
    """Return the program in the entry of a word, "" if there is none."""
    low = 0
    high = len(WORDS)
    while low < high:
        middle = (low + high) // 2
        entry, program = WORDS[middle]
        if entry == word:
            return program
        if entry < word:
            low = middle + 1
        else:
            high = middle
    return ""
