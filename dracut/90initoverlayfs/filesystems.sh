# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154  # hostonly, host_fs_types are dracut's
# Install the kernel modules of the boot filesystem and the image, for both dracut modules.

# Print the type of the boot filesystem, or all supported types without hostonly.
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

# Print the hash in the signatures of the kernel's modules, or nothing if they are unsigned.
signaturehash() {
    local module
    module=$(find "$srcmods/kernel" -name '*.ko*' -print -quit 2>/dev/null)
    [[ ! $module ]] || modinfo -F sig_hashalgo "$module"
}

# Print the modules that any boot may load. A fragmented image requires dm_mod, and a journal to
# replay requires dm_snapshot. Of the hashes, storage_init/devices/hashes.py loads those that the CPU
# accelerates.
everyboot() {
    echo erofs overlay loop dm_mod dm_snapshot
    local hash
    hash=$(signaturehash)
    [[ $hash != sha512 ]] || echo sha512_ssse3 sha512_ce sha512_arm64
    # shellcheck disable=SC2154  # initoverlayfs-install sets it in its configuration for dracut
    [[ $initoverlayfs_verity != yes ]] || echo dm_verity sha256_generic sha256
    [[ $hash != sha256 && $initoverlayfs_verity != yes ]] || echo sha256_ssse3 sha2_ce sha256_arm64
}

instfilesystems() {
    local types
    types=$(bootfstypes)

    # shellcheck disable=SC2046,SC2086
    hostonly='' instmods $types $(everyboot)
    [[ $hostonly ]] || instmods squashfs
    # Modules that the filesystems request by an alias at run time.
    hostonly='' instmods crc32c_generic
    [[ $types != *btrfs* ]] || hostonly='' instmods blake2b_generic sha256_generic xxhash_generic
    [[ $types != *vfat* ]] || hostonly='' instmods nls_cp437 nls_ascii nls_iso8859_1
}
