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

# The phases of the boot are measured into a TPM, whose driver has to be there for that.
[ -e /sys/firmware/efi/efivars/StubPcrKernelImage-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f ] && exit

# Words that ask for more than the root filesystem by itself: all of dracut's but those known here,
# networks, devices that a filesystem has besides its own, a splash screen.
words=$(getcmdline)
set -f
for word in $words; do
    case $word in
        rd.initoverlayfs.coldplug=all) exit ;;
        rd.initoverlayfs*) ;;
        rd.timeout=* | rd.emergency=* | rd.debug | rd.info | rd.shell | rd.shell=* | rd.udev.*) ;;
        rd.systemd.* | rd.luks=0 | rd.lvm=0 | rd.md=0 | rd.dm=0 | rd.multipath=0) ;;
        rd.* | ip=* | rootflags=*dev=* | rootflags=*journal_path=*) exit ;;
        splash | rhgb) command -v plymouthd >/dev/null && exit ;;
    esac
done
set +f

# Waits for what it triggers, and nothing else.
udevadm trigger --settle --action=add --subsystem-match=block || exit

# What dracut waits for: the root device is among it, unless something else is to find that.
# shellcheck disable=SC2154  # hookdir is dracut's
set -- "$hookdir"/initqueue/finished/*.sh
[ -e "$1" ] && check_finished || exit

# What systemd waits for. It has been told of all devices, but comes to them one by one, between its
# answers; so it is asked again before something counts as missing.
for _ in 1 2 3 4 5 6 7 8; do
    jobs=$(systemctl list-jobs --no-legend) || exit
    case $jobs in
        *.device*) ;;
        *)
            mkdir -p /run/initoverlayfs && : >/run/initoverlayfs/root-found
            exit
            ;;
    esac
done
