#!/bin/bash
# SPDX-License-Identifier: MIT
# CPython as what runs storage-init in the mini-initramfs of systemd mode.
# Made with `dracut -m initoverlayfs-python3`; initoverlayfs-install --runtime python3 does that.
# shellcheck disable=SC2154  # initdir, moddir are dracut's

# Only on request: the static storage-init needs none of it.
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

    # The static one gives way, also to a failure: initoverlayfs-install sees that none is there.
    rm -f "$initdir/usr/bin/storage-init"
    list=$(python3 -I "$moddir/needed.py") || return 1
    mapfile -t files <<<"$list"
    inst_multiple "${files[@]}" || return 1

    # Without compiled code each boot would compile it all; validated by time stamps it would go
    # stale when dracut changes them.
    printf "$initdir%s\n" "${files[@]}" | grep '\.py$' |
        python3 -I -m compileall -q -s "$initdir" -p / --invalidation-mode unchecked-hash -i - ||
        return 1

    inst_simple "$moddir/storage-init" /usr/bin/storage-init
}
