#!/bin/sh
# SPDX-License-Identifier: MIT
# Coldplug in stage 2, of block devices: stage 1 has loaded drivers already, for the disk that the
# root filesystem mostly lies on too. If that is so, and nothing else is asked for, this says so in
# the file that systemd-udev-trigger.service then does not run for. The root filesystem's udev looks
# at all devices again in any case.
# However this ends: without the file, all devices are looked at, as in any initramfs.

lib=/lib/dracut-lib.sh
[ -r "$lib" ] || exit
# shellcheck source=/dev/null
. "$lib"

# Words of the command line, or of dracut.conf's kernel_cmdline, that ask for more than the root.
getarg rd.break >/dev/null && exit
getarg ip= >/dev/null && exit
getargbool 0 rd.neednet && exit
[ "$(getarg rd.initoverlayfs.coldplug=)" != all ] || exit
if command -v plymouthd >/dev/null; then
    for word in splash rhgb; do
        getargbool 0 "$word" && exit
    done
fi

# Waits for what it triggers, and nothing else.
udevadm trigger --settle --action=add --subsystem-match=block || exit

# What dracut waits for: the root device is among it, unless something else is to find that.
# shellcheck disable=SC2154  # hookdir is dracut's
set -- "$hookdir"/initqueue/finished/*.sh
[ -e "$1" ] && check_finished || exit
# What systemd waits for.
jobs=$(systemctl list-jobs --no-legend) || exit
case $jobs in
    *.device*) exit ;;
esac

mkdir -p /run/initoverlayfs && : >/run/initoverlayfs/root-found
