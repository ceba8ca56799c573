#!/bin/sh
# SPDX-License-Identifier: MIT
# Coldplug block devices in stage 2. Stage 1 has loaded the drivers for the disk of the boot
# filesystem, and the root filesystem is usually on that disk. If block devices are all that this
# boot requires, this script creates root-found, and systemd-udev-trigger.service does not run. The
# root filesystem's udev triggers all devices, as it always does.
# If the script fails at any point, the file does not exist, and udev triggers all devices as in a
# plain initramfs.

lib=/lib/dracut-lib.sh
[ -r "$lib" ] || exit
# shellcheck source=/dev/null
. "$lib"

# systemd measures the phases of the boot into a TPM, which requires its driver.
[ -e /sys/firmware/efi/efivars/StubPcrKernelImage-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f ] && exit

# Words that require more than block devices: dracut's words except the known ones below, networks,
# further devices of a filesystem, a splash screen.
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

# Waits for the triggered devices only.
udevadm trigger --settle --action=add --subsystem-match=block || exit

# dracut's conditions to go on. The root device is one of them, unless another program finds it.
# shellcheck disable=SC2154  # hookdir is dracut's
set -- "$hookdir"/initqueue/finished/*.sh
[ -e "$1" ] && check_finished || exit

# systemd's jobs that wait for devices. systemd handles udev's events one by one, so ask several
# times before a device counts as missing.
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
