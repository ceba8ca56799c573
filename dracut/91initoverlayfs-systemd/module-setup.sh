#!/bin/bash
# SPDX-License-Identifier: MIT
# The mini-initramfs of systemd mode, with systemd, udev and storage-init as a service.
# initoverlayfs-install --mode systemd builds it with `dracut -m initoverlayfs-systemd`.
# shellcheck disable=SC2154  # initdir, moddir, systemdsystemunitdir are dracut's

# Only on request: a plain initramfs starts initrd.target and not pre-initoverlayfs.target.
check() {
    return 255
}

depends() {
    echo systemd systemd-initrd udev-rules kernel-modules base
    return 0
}

installkernel() {
    # shellcheck disable=SC1091
    . "$moddir/../90initoverlayfs/filesystems.sh"
    instfilesystems
}

install() {
    local unit

    inst_simple /usr/bin/storage-init || return 1
    inst_multiple -o /etc/initoverlayfs.conf
    inst_multiple modprobe systemctl || return 1
    inst_multiple -o /etc/os-release /usr/lib/os-release
    inst_multiple -o "$systemdsystemunitdir"/emergency.{service,target} \
        /usr/lib/systemd/systemd-sulogin-shell sulogin

    # The host has these units in a directory of their own, where its systemd does not find them.
    for unit in target service; do
        inst_simple "/usr/lib/initoverlayfs/systemd/pre-initoverlayfs.$unit" \
            "$systemdsystemunitdir/pre-initoverlayfs.$unit" || return 1
    done
    unit=pre-initoverlayfs-switch-root.service
    inst_simple "/usr/lib/initoverlayfs/systemd/$unit" "$systemdsystemunitdir/$unit" || return 1

    # If /etc/initrd-release exists, systemd starts initrd.target instead of default.target.
    mkdir -p "$initdir/etc/systemd/system"
    for unit in default initrd; do
        ln -sfn "$systemdsystemunitdir/pre-initoverlayfs.target" \
            "$initdir/etc/systemd/system/$unit.target"
    done
    [[ -e $initdir/etc/initrd-release ]] || : >"$initdir/etc/initrd-release"
}
