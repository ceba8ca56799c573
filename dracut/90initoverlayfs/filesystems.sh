# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154  # hostonly, host_fs_types are dracut's
# The kernel modules on the way from the boot filesystem to the image, for both dracut modules.

# The type of the boot filesystem; without hostonly, or where dracut knows none, all we know.
bootfstypes() {
    local type known=
    if [[ $hostonly ]]; then
        for type in "${host_fs_types[@]}"; do
            case $type in
                ext[234]) known+=" ext4" ;;
                xfs | btrfs | vfat) known+=" $type" ;;
            esac
        done
    fi
    echo "${known:-ext4 xfs btrfs vfat}"
}

# What every boot loads, or may: an image in several pieces takes dm_mod.
everyboot() {
    echo erofs overlay loop dm_mod
    # shellcheck disable=SC2154  # of initoverlayfs-install's configuration for dracut
    [[ $initoverlayfs_verity != yes ]] ||
        echo dm_verity sha256_generic sha256_ssse3 sha256_arm64 sha2_ce
}

instfilesystems() {
    local types
    types=$(bootfstypes)

    # shellcheck disable=SC2046,SC2086
    hostonly='' instmods $types $(everyboot)
    [[ $hostonly ]] || instmods squashfs
    # What they ask for by an alias, at run time.
    hostonly='' instmods crc32c_generic
    [[ $types != *btrfs* ]] || hostonly='' instmods blake2b_generic sha256_generic xxhash_generic
    [[ $types != *vfat* ]] || hostonly='' instmods nls_cp437 nls_ascii nls_iso8859_1
}
