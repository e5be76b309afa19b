/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a module asks of the process that it runs in. The debug flags are an int that the host keeps
 * and lends to the handle under DEBUG_FLAGS; anywhere else there are none. */
#include <errno.h>

#include <flux/module.h>

#define DEBUG_FLAGS "flux::debug-flags"

bool flux_module_debug_test(flux_t *h, int flags, bool clear)
{
    int saved_errno = errno;
    int *set = h ? flux_aux_get(h, DEBUG_FLAGS) : NULL;
    bool found = set && (*set & flags);

    if (found && clear)
        *set &= ~flags;
    errno = saved_errno;
    return found;
}
