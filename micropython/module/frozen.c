/* SPDX-License-Identifier: MIT */
/*
 * Find a frozen module. MicroPython's own search compares a path with the start of each frozen
 * path, and all of ours have the same start, which took a quarter of the start-up time. The linker
 * option --wrap replaces that search by this one.
 */

#include <string.h>

#include "py/emitglue.h"
#include "py/frozenmod.h"

/* Written by tools/mpy-tool.py: NUL-terminated paths, then an empty one; the modules. */
extern const char mp_frozen_names[];
extern const mp_frozen_module_t *const mp_frozen_mpy_content[];

mp_import_stat_t __wrap_mp_find_frozen_module(const char *path, int *type, void **data)
{
    size_t length = strlen(path);
    const char *name = mp_frozen_names;

    if (type != NULL)
        *type = MP_FROZEN_NONE;
    for (size_t i = 0; *name != '\0'; i++) {
        size_t name_length = strlen(name);
        /* Check the character after the common part first: it differs for nearly all names. */
        if (name_length >= length && (name[length] == '\0' || name[length] == '/') &&
            memcmp(path, name, length) == 0) {
            if (name[length] == '/')
                return MP_IMPORT_STAT_DIR;
            if (type != NULL) {
                *type = MP_FROZEN_MPY;
                *data = (void *)mp_frozen_mpy_content[i];
            }
            return MP_IMPORT_STAT_FILE;
        }
        name += name_length + 1;
    }
    return MP_IMPORT_STAT_NO_EXIST;
}
