/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Pure bookkeeping. Objects hold strings; of a name that is brought twice the first value counts.
 */
#include <errno.h>
#include <string.h>

#include "barrier.h"

static int merge(struct gathering *g, const json_t *object)
{
    const char *name;
    json_t *value;

    if (!g->object && !(g->object = json_object()))
        return -ENOMEM;
    json_object_foreach ((json_t *)object, name, value) {
        g->bytes += strlen(name) + json_string_length(value);
        if (g->bytes > BARRIER_BYTES_MAX)
            return -EFBIG;
        if (!json_object_get(g->object, name) &&
            json_object_set_nocheck(g->object, name, value) < 0)
            return -ENOMEM;
    }
    return 0;
}

bool gathering_enter(struct gathering *g, const json_t *object)
{
    g->entered++;
    if (g->rc == 0 && json_object_size(object) > 0)
        g->rc = merge(g, object);
    return g->entered >= g->expected;
}

void gathering_reset(struct gathering *g)
{
    json_decref(g->object);
    *g = (struct gathering){ .expected = g->expected };
}
