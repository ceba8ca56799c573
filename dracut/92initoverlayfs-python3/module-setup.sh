#!/bin/bash
# SPDX-License-Identifier: MIT
# CPython as the interpreter of storage-init in the mini-initramfs of systemd mode.
# initoverlayfs-install --runtime python3 adds it with `dracut -m initoverlayfs-python3`.
# shellcheck disable=SC2154  # initdir, moddir are dracut's

# Only on request: the static storage-init does not require CPython.
check() {
    return 255
}

depends() {
    echo initoverlayfs-systemd
    return 0
}

install() {
    local list
    local -a files

    # Remove the static program first, so that initoverlayfs-install notices if a later step fails.
    rm -f "$initdir/usr/bin/storage-init"
    list=$(python3 -I "$moddir/needed.py") || return 1
    mapfile -t files <<<"$list"
    inst_multiple "${files[@]}" || return 1

    # Without bytecode, each boot would compile all files. Bytecode that is validated by time stamps
    # would be stale, because dracut changes them.
    printf "$initdir%s\n" "${files[@]}" | grep '\.py$' |
        python3 -I -m compileall -q -s "$initdir" -p / --invalidation-mode unchecked-hash -i - ||
        return 1

    inst_simple "$moddir/storage-init" /usr/bin/storage-init
}
