/* SPDX-License-Identifier: MIT */
/*
 * Let the heap of MicroPython grow with the memory of the machine.
 *
 * The heap starts with the 1 MiB of main.c, which is enough for most boots: they never collect
 * garbage. MicroPython adds an area if an allocation fails after a collection
 * (MICROPY_GC_SPLIT_HEAP_AUTO). This file limits the sum, and adds an area earlier: if a collection
 * leaves little free, the next collections would follow each other closely.
 */

#include <stdlib.h>
#include <sys/sysinfo.h>

#include "py/gc.h"
#include "py/mpstate.h"

/* Part of the memory that the heap may occupy, and bounds of that part in bytes. */
enum { PART = 8, LEAST = 4 << 20, MOST = 64 << 20 };

/* Smallest area that is worth adding before an allocation has failed, in bytes. */
enum { SMALLEST = 256 << 10 };

void __real_gc_collect(void);

static size_t size_of_heap(void)
{
    size_t size = 0;
    for (mp_state_mem_area_t *area = &MP_STATE_MEM(area); area != NULL; area = area->next)
        size += (size_t)(area->gc_pool_end - area->gc_alloc_table_start);
    return size;
}

/* Return the size in bytes by which the heap may grow now. MicroPython calls this function. */
size_t gc_get_max_new_split(void)
{
    struct sysinfo info;
    size_t size = size_of_heap();
    if (sysinfo(&info) < 0)
        return 0;
    size_t limit = info.totalram / PART * info.mem_unit;
    size_t unused = info.freeram / 2 * info.mem_unit;
    limit = limit < LEAST ? LEAST : limit > MOST ? MOST : limit;
    size_t left = limit > size ? limit - size : 0;
    return left < unused ? left : unused;
}

void __wrap_gc_collect(void)
{
    gc_info_t info;
    __real_gc_collect();
    gc_info(&info);
    if (info.free >= info.total / 4)
        return;
    size_t size = info.total < info.max_new_split ? info.total : info.max_new_split;
    if (size < SMALLEST)
        return;
    void *area = malloc(size);
    if (area != NULL)
        gc_add(area, (char *)area + size);
}
