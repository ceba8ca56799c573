#!/bin/bash
# SPDX-License-Identifier: MIT
# What stage 2 has besides what dracut puts into an initramfs: it leaves out, and hands on, what the
# root filesystem's udev would do a second time.
# Added with `dracut --add initoverlayfs-stage2`; initoverlayfs-install does that.
# shellcheck disable=SC2154  # initdir, moddir, systemdsystemunitdir, udevdir are dracut's

# Only on request: a plain initramfs stays dracut's own.
check() {
    return 255
}

depends() {
    echo systemd
    return 0
}

# Have a unit do what one of our drop-ins says.
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
    # What may wait for a device that does not lead to the root filesystem: other mounts of it, keys
    # and their tokens, an image to resume from. And whoever is to type something.
    for unit in sysroot-.mount sysusr-usr.mount systemd-cryptsetup@.service \
        systemd-hibernate-resume.service systemd-hibernate-resume@.service \
        {emergency,rescue}.target {emergency,dracut-emergency,debug-shell}.service; do
        dropin initoverlayfs-coldplug-all "$unit" || return 1
    done
}
