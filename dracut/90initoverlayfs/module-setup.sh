#!/bin/bash
# SPDX-License-Identifier: MIT
# The mini-initramfs: storage-init as its only program, and the way to the boot filesystem.
# Made with `dracut -m initoverlayfs`; initoverlayfs-install does that.
# shellcheck disable=SC2154  # initdir, srcmods, kernel, moddir are dracut's

# Only on request: in a plain initramfs, dracut's own /init is in charge.
check() {
    return 255
}

depends() {
    return 0
}

install() {
    inst_simple /usr/bin/storage-init /init || return 1
    inst_multiple -o /etc/initoverlayfs.conf
    mkdir -p "$initdir"/{dev,proc,run,sys}
}

# The controllers that boot disks commonly sit on, without networks between them and the disk: all
# of them would double the image. For others there is add_drivers in dracut.conf.
instcontrollers() {
    instmods ahci ahci_platform ata_generic ata_piix sata_nv sata_sil24 sata_via \
        nvme vmd mmc_block sdhci_acpi sdhci_pci ufshcd_pci \
        ehci_pci ohci_pci uhci_hcd xhci_pci usb_storage uas \
        virtio_pci virtio_mmio virtio_blk virtio_scsi \
        hv_vmbus hv_storvsc pci_hyperv xen_blkfront xen_scsifront vmw_pvscsi \
        mptsas mptspi aacraid hpsa megaraid_sas mpi3mr mpt3sas smartpqi \
        sd_mod
}

installkernel() {
    # shellcheck disable=SC1091
    . "$moddir/filesystems.sh"

    instcontrollers
    instfilesystems

    # What dracut.conf adds belongs into the tables too, so it cannot wait until dracut adds it.
    # shellcheck disable=SC2086
    hostonly='' instmods $drivers $add_drivers $force_drivers $filesystems
    drivers='' add_drivers='' force_drivers='' filesystems=''

    # Those of this machine are there to be loaded, so all are unpacked; else what every boot loads,
    # and the driver of most virtual machines' disks, which is small.
    local unpacked=
    [[ $hostonly ]] || unpacked="$(everyboot) virtio_blk"
    # shellcheck disable=SC2086
    python3 -I -m initoverlayfs.build.load_order "$initdir" "$srcmods" "$kernel" $unpacked
}
