# SPDX-License-Identifier: MIT
from storage_init.config.cmdline import split
from storage_init.config.stage2_words import PREFIXES, WORDS, reader


def found(text):
    """Return the programs that serve the words."""
    return [program for program in [reader(key, value) for key, value in split(text)[0]] if program]


def test_each_program():
    for text, program in (
        ("boot=casper", "initramfs-tools"),
        ("boot=live", "initramfs-tools"),
        ("boot=nfs", "initramfs-tools"),
        ("boot=overlay", "initramfs-tools"),
        ("break=premount", "initramfs-tools"),
        ("break", "initramfs-tools"),
        ("cryptopts=target=x,source=y", "initramfs-tools"),
        ("nfsroot=1.2.3.4:/x", "initramfs-tools"),
        ("ip=dhcp", "dracut"),
        ("ip=:::::eth0:dhcp", "dracut"),
        ("overlayroot=tmpfs", "overlayroot"),
        ("cryptdevice=UUID=x:root", "mkinitcpio"),
        ("archisobasedir=arch", "mkinitcpio"),
        ("luks.uuid=x", "systemd"),
        ("luks.name=x=root", "systemd"),
        ("rd.luks.uuid=x", "systemd"),
        ("rd.luks", "systemd"),
        ("resume=/dev/sda3", "systemd"),
        ("systemd.volatile=overlay", "systemd"),
        ("systemd.verity-root-data=/dev/x", "systemd"),
        ("rd.systemd.unit=emergency.target", "systemd"),
        ("rd.multipath", "dracut"),
        ("rd.multipath=1", "dracut"),
        ("rd.multipath=default", "dracut"),
        ("rd.lvm.vg=a", "dracut"),
        ("rd.auto", "dracut"),
        ("rd.live.image", "dracut"),
        ("rd.iscsi.firmware=1", "dracut"),
        ("rd.break=pre-mount", "dracut"),
        ("netroot=iscsi:x", "dracut"),
        ("iso-scan/filename=/x.iso", "casper and live-boot"),
        ("ostree=/ostree/boot.1", "OSTree"),
        ("ignition.firstboot", "Ignition"),
        ("dolvm", "genkernel"),
        ("cryptroot=/dev/x", "mkinitfs"),
    ):
        assert found(text) == [program], text


def test_false_and_empty_values_request_nothing():
    for text in (
        "rd.multipath=0 rd.lvm=0 rd.md=no rd.dm=off rd.auto=0 rd.neednet=0 fips=0",
        "rd.luks=off rd.luks=n rd.luks=False rd.luks.crypttab=no luks=0 luks.crypttab=f",
        "systemd.volatile=no systemd.volatile=N",
        "resume= resume ostree= roothash= mount.usr= ip= overlayroot=",
        "ip=off ip=none overlayroot=disabled multipath=off boot=local boot= boot",
        "boot=UUID=x boot=/dev/sda1 rd.break",
    ):
        assert found(text) == [], text
    # dracut's getargbool knows no other values, and compares them exactly.
    assert found("rd.lvm=n rd.md=No rd.dm=false") == ["dracut"] * 3


def test_words_that_stage_1_and_the_system_serve_are_no_words_of_stage_2():
    text = (
        "BOOT_IMAGE=/vmlinuz root=UUID=x ro quiet splash console=ttyS0 rw rootwait rootdelay=3"
        " rd.initoverlayfs=direct rd.initoverlayfs.bootfs=UUID=x rd.shell rd.debug rd.timeout=3"
        " rd.emergency=halt systemd.unit=rescue.target systemd.log_level=debug panic=30 nomodeset"
        " rd.udev.log_level=3 rd.systemd.show_status=1 modprobe.blacklist=a rd.driver.blacklist=b"
        " noresume rootfstype=ext4 rootflags=subvol=@ init=/x net.ifnames=0 fsck.mode=skip"
        " crashkernel=256M selinux=0 apparmor=1 mitigations=off break-x luks-x resume_offset=3"
    )
    assert found(text) == []


def test_each_entry_counts_with_a_value():
    assert list(WORDS) == sorted(WORDS)
    for word, program in WORDS:
        assert reader(word.rstrip("="), "x") == program, word
    for prefix, program in PREFIXES:
        assert reader(prefix + ".x", "y") == program
