/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Any bytes as the stored setting of the queue: what is taken is written as it was read. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manager.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *setting(struct manager *m)
{
    CLEANUP(json_decrefp) json_t *o = control_status(m);

    return o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(freep) char *text = strndup((const char *)data, size);
    static struct manager m;
    flux_error_t error = { "" };

    memset(&m, 0, sizeof(m));
    control_init(&m);
    if (control_load(&m, text, &error) == 0) {
        CLEANUP(freep) char *once = setting(&m);
        CLEANUP(freep) char *twice = NULL;

        if (!m.control.loaded || !once || control_load(&m, once, &error) < 0 ||
            !(twice = setting(&m)) || strcmp(once, twice) != 0)
            abort();
    } else if (m.control.loaded) {
        abort();
    }
    control_deinit(&m);
    return 0;
}
