#!/bin/bash
# SPDX-License-Identifier: MIT
# Additions to dracut's initramfs for stage 2: it triggers block devices only, and keeps udev's
# database for the root filesystem, whose udev triggers all devices.
# initoverlayfs-install adds it with `dracut --add initoverlayfs-stage2`.
# shellcheck disable=SC2154  # initdir, moddir, systemdsystemunitdir, udevdir are dracut's

# Only on request: a plain initramfs stays as dracut builds it.
check() {
    return 255
}

depends() {
    echo systemd
    return 0
}

# Install one of our drop-ins for a unit.
dropin() {
    inst_simple "$from/$1.conf" "$systemdsystemunitdir/$2.d/$1.conf"
}

install() {
    local from=/usr/lib/initoverlayfs/systemd unit

    inst_multiple udevadm systemctl mkdir rm || return 1
    inst_simple "$moddir/block-devices.rules" "$udevdir/rules.d/99-initoverlayfs.rules" || return 1
    inst_script "$moddir/coldplug.sh" /usr/lib/initoverlayfs/coldplug || return 1
    for unit in initoverlayfs-coldplug initoverlayfs-coldplug-all; do
        inst_simple "$from/$unit.service" "$systemdsystemunitdir/$unit.service" || return 1
    done
    dropin initoverlayfs-coldplug systemd-udev-trigger.service || return 1
    # Units that may wait for other devices than the root device: further mounts, LUKS devices and
    # their tokens, a hibernation image. And prompts, which require a keyboard.
    for unit in sysroot-.mount sysusr-usr.mount systemd-cryptsetup@.service \
        systemd-hibernate-resume.service systemd-hibernate-resume@.service \
        {emergency,rescue}.target {emergency,dracut-emergency,debug-shell}.service; do
        dropin initoverlayfs-coldplug-all "$unit" || return 1
    done
}
