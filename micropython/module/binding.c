/* SPDX-License-Identifier: MIT */
/* The MicroPython module _syscalls: bind every function of _syscalls.h under its own name. */

#include <errno.h>
#include <string.h>

#include "_syscalls.h"
#include "py/objstr.h"
#include "py/runtime.h"

static mp_int_t number(mp_obj_t object) { return mp_obj_get_int_truncated(object); }

/*
 * Return a C string, NULL for None. Raises OSError for a string with a NUL, because the kernel
 * would see a shorter name than the caller.
 */
static const char *string(mp_obj_t object)
{
    size_t length;
    if (object == mp_const_none)
        return NULL;
    const char *text = mp_obj_str_get_data(object, &length);
    if (memchr(text, '\0', length) != NULL) {
        static const char reason[] = "the string contains a NUL";
        mp_obj_t values[] = {MP_OBJ_NEW_SMALL_INT(EINVAL), mp_obj_new_str(reason, sizeof reason - 1)};
        nlr_raise(mp_obj_new_exception_args(&mp_type_OSError, 2, values));
    }
    return text;
}

static void *buffer(mp_obj_t object, mp_int_t size, mp_uint_t access)
{
    mp_buffer_info_t info;
    mp_get_buffer_raise(object, &info, access);
    if (size < 0 || (size_t)size > info.len)
        mp_raise_ValueError(MP_ERROR_TEXT("buffer too small"));
    return info.buf;
}

#define N(i) number(args[i])
#define S(i) string(args[i])
#define IN(i, size) buffer(args[i], size, MP_BUFFER_READ)
#define OUT(i, size) buffer(args[i], size, MP_BUFFER_WRITE)

#define BIND(name, count, call) \
    static mp_obj_t name##_call(size_t n_args, const mp_obj_t *args) \
    { \
        (void)n_args; \
        (void)args; \
        return mp_obj_new_int_from_ll(call); \
    } \
    static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(name##_obj, count, count, name##_call)

BIND(sc_mount, 5, sc_mount(S(0), S(1), S(2), N(3), S(4)));
BIND(sc_umount, 2, sc_umount(S(0), N(1)));
BIND(sc_pivot_root, 2, sc_pivot_root(S(0), S(1)));
BIND(sc_chroot, 1, sc_chroot(S(0)));
BIND(sc_chdir, 1, sc_chdir(S(0)));
BIND(sc_fs_magic, 1, sc_fs_magic(S(0)));
BIND(sc_open, 4, sc_open(N(0), S(1), N(2), N(3)));
BIND(sc_open_directory, 2, sc_open_directory(N(0), S(1)));
BIND(sc_open_beneath, 2, sc_open_beneath(N(0), S(1)));
BIND(sc_memfd, 2, sc_memfd(S(0), N(1)));
BIND(sc_close, 1, sc_close(N(0)));
BIND(sc_read, 3, sc_read(N(0), OUT(1, N(2)), N(2)));
BIND(sc_pread, 4, sc_pread(N(0), OUT(1, N(2)), N(2), N(3)));
BIND(sc_write, 3, sc_write(N(0), IN(1, N(2)), N(2)));
BIND(sc_mkdir, 3, sc_mkdir(N(0), S(1), N(2)));
BIND(sc_unlink, 3, sc_unlink(N(0), S(1), N(2)));
BIND(sc_readlink, 3, sc_readlink(S(0), OUT(1, N(2)), N(2)));
BIND(sc_stat, 4, sc_stat(N(0), S(1), N(2), OUT(3, 40)));
BIND(sc_getdents, 3, sc_getdents(N(0), OUT(1, N(2)), N(2)));
BIND(sc_fork, 0, sc_fork());
BIND(sc_exit, 1, sc_exit(N(0)));
BIND(sc_execve, 5, sc_execve(S(0), IN(1, N(2)), N(2), IN(3, N(4)), N(4)));
BIND(sc_waitpid, 3, sc_waitpid(N(0), N(1), OUT(2, 4)));
BIND(sc_getpid, 0, sc_getpid());
BIND(sc_signals_default, 0, sc_signals_default());
BIND(sc_signalfd_child, 0, sc_signalfd_child());
BIND(sc_take_terminal, 1, sc_take_terminal(N(0)));
BIND(sc_standard_fds, 0, sc_standard_fds());
BIND(sc_poll, 3, sc_poll(IN(0, 4 * N(1)), N(1), N(2)));
BIND(sc_clock_ns, 0, sc_clock_ns());
BIND(sc_uevent_open, 2, sc_uevent_open(N(0), N(1)));
BIND(sc_uevent_receive, 3, sc_uevent_receive(N(0), OUT(1, N(2)), N(2)));
BIND(sc_finit_module, 3, sc_finit_module(N(0), S(1), N(2)));
BIND(sc_loop_get_free, 1, sc_loop_get_free(N(0)));
BIND(sc_loop_configure, 6, sc_loop_configure(N(0), N(1), N(2), S(3), N(4), N(5)));
BIND(sc_fiemap, 4, sc_fiemap(N(0), N(1), OUT(2, N(3)), N(3)));
BIND(sc_fibmap, 4, sc_fibmap(N(0), N(1), OUT(2, N(3)), N(3)));
BIND(sc_xflags, 2, sc_xflags(N(0), OUT(1, 4)));
BIND(sc_btrfs_search, 2, sc_btrfs_search(N(0), OUT(1, 4096)));
BIND(sc_btrfs_forget, 1, sc_btrfs_forget(N(0)));
BIND(sc_dm_create, 3, sc_dm_create(N(0), S(1), N(2)));
BIND(sc_dm_load, 6, sc_dm_load(N(0), S(1), N(2), IN(3, N(4)), N(4), N(5)));
BIND(sc_dm_resume, 3, sc_dm_resume(N(0), S(1), N(2)));
BIND(sc_dm_remove, 2, sc_dm_remove(N(0), S(1)));
BIND(sc_add_key, 3, sc_add_key(S(0), IN(1, N(2)), N(2)));
BIND(sc_reboot, 1, sc_reboot(N(0)));
BIND(sc_sync, 0, sc_sync());
BIND(sc_strerror, 3, sc_strerror(N(0), OUT(1, N(2)), N(2)));

#define ENTRY(name) {MP_ROM_QSTR(MP_QSTR_##name), MP_ROM_PTR(&name##_obj)}

static const mp_rom_map_elem_t globals_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__syscalls)},
    ENTRY(sc_mount), ENTRY(sc_umount), ENTRY(sc_pivot_root), ENTRY(sc_chroot), ENTRY(sc_chdir),
    ENTRY(sc_fs_magic), ENTRY(sc_open), ENTRY(sc_open_directory), ENTRY(sc_open_beneath),
    ENTRY(sc_memfd), ENTRY(sc_close), ENTRY(sc_read),
    ENTRY(sc_pread), ENTRY(sc_write), ENTRY(sc_mkdir), ENTRY(sc_unlink), ENTRY(sc_readlink),
    ENTRY(sc_stat), ENTRY(sc_getdents), ENTRY(sc_fork), ENTRY(sc_exit), ENTRY(sc_execve),
    ENTRY(sc_waitpid), ENTRY(sc_getpid), ENTRY(sc_signals_default),
    ENTRY(sc_signalfd_child), ENTRY(sc_take_terminal), ENTRY(sc_standard_fds), ENTRY(sc_poll), ENTRY(sc_clock_ns),
    ENTRY(sc_uevent_open), ENTRY(sc_uevent_receive), ENTRY(sc_finit_module),
    ENTRY(sc_loop_get_free), ENTRY(sc_loop_configure), ENTRY(sc_fiemap), ENTRY(sc_fibmap),
    ENTRY(sc_xflags), ENTRY(sc_btrfs_search), ENTRY(sc_btrfs_forget),
    ENTRY(sc_dm_create), ENTRY(sc_dm_load),
    ENTRY(sc_dm_resume), ENTRY(sc_dm_remove), ENTRY(sc_add_key), ENTRY(sc_reboot), ENTRY(sc_sync),
    ENTRY(sc_strerror),
};
static MP_DEFINE_CONST_DICT(globals, globals_table);

const mp_obj_module_t syscalls_module = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&globals,
};

MP_REGISTER_MODULE(MP_QSTR__syscalls, syscalls_module);
