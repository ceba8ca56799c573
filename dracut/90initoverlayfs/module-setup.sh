#!/bin/bash
# SPDX-License-Identifier: MIT
# The mini-initramfs: storage-init as its only program, and the drivers for the boot filesystem.
# initoverlayfs-install builds it with `dracut -m initoverlayfs`.
# shellcheck disable=SC2154  # initdir, srcmods, kernel, moddir are dracut's

# Only on request: a plain initramfs requires dracut's own /init.
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

# Install drivers of common disk controllers, without network storage. All drivers would double the
# size of the mini-initramfs. add_drivers in dracut.conf adds others.
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

    # The tables must contain the drivers of dracut.conf, so install these now and not after this.
    # shellcheck disable=SC2086
    hostonly='' instmods $drivers $add_drivers $force_drivers $filesystems
    drivers='' add_drivers='' force_drivers='' filesystems=''

    # Decompress modules that are probably loaded: with hostonly all of them, else those of any boot
    # and virtio_blk, the small driver of most virtual machines' disks.
    local unpacked=
    [[ $hostonly ]] || unpacked="$(everyboot) virtio_blk"
    # shellcheck disable=SC2086
    python3 -I -m initoverlayfs.build.load_order "$initdir" "$srcmods" "$kernel" $unpacked
}
