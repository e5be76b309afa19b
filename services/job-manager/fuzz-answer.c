/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Any bytes as answers of the scheduler and of the execution service to jobs in all states. Lines:
 * the first byte says who answers. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "test-world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *s = (const char *)data, *end = s + size;
    struct world w;

    world_init(&w, 100);
    w.lenient = true;
    world_exec_up(&w);
    world_sched_up(&w, "unlimited", true);
    for (flux_jobid_t id = 1; id <= 3; id++)
        world_submit(&w, id, 16);
    world_settle(&w);
    world_alloc(&w, 1);
    world_alloc(&w, 2);
    world_settle(&w);
    world_exec_answer(&w, 2, "start", "{}");
    while (s < end) {
        const char *newline = memchr(s, '\n', (size_t)(end - s));
        size_t len = (size_t)((newline ? newline : end) - s);
        CLEANUP(json_decrefp)
        json_t *o = len > 0 ? jsonx_decode_object(s + 1, len - 1, NULL) : NULL;

        if (o)
            (void)(*s == 'a' ? alloc_response(&w.m, o) : start_response(&w.m, o));
        (void)manager_process(&w.m);
        if (w.commit_flying)
            world_commit(&w);
        s += len + 1;
    }
    world_deinit(&w);
    return 0;
}
