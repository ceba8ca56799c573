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

# The hash in the signatures of the kernel's own modules; nothing where they are not signed.
signaturehash() {
    local module
    module=$(find "$srcmods/kernel" -name '*.ko*' -print -quit 2>/dev/null)
    [[ ! $module ]] || modinfo -F sig_hashalgo "$module"
}

# What every boot loads, or may: an image in several pieces takes dm_mod. storage_init/devices/hashes.py
# takes of the hashes what the CPU has instructions for.
everyboot() {
    echo erofs overlay loop dm_mod
    local hash
    hash=$(signaturehash)
    [[ $hash != sha512 ]] || echo sha512_ssse3 sha512_ce sha512_arm64
    # shellcheck disable=SC2154  # of initoverlayfs-install's configuration for dracut
    [[ $initoverlayfs_verity != yes ]] || echo dm_verity sha256_generic sha256
    [[ $hash != sha256 && $initoverlayfs_verity != yes ]] || echo sha256_ssse3 sha2_ce sha256_arm64
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
