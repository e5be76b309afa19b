/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* flux_barrier(3): one request, which the router answers when all are there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <flux/barrier.h>
#include <flux/handle.h>
#include <flux/rpc.h>

#define AUX_NAME  "flux::barrier"
#define NAME_SIZE 128

/* The n-th call with this handle has the same name in all tasks that make the same calls. 0 or -1.
 */
static int make_name(flux_t *h, char name[NAME_SIZE])
{
    const char *id = getenv("FLUX_JOB_ID");
    unsigned int *calls = flux_aux_get(h, AUX_NAME);

    if (!id || !id[0]) {
        errno = EINVAL;
        return -1;
    }
    if (!calls) {
        calls = calloc(1, sizeof(*calls));
        if (!calls || flux_aux_set(h, AUX_NAME, calls, free) < 0) {
            free(calls);
            return -1;
        }
    }
    if (snprintf(name, NAME_SIZE, "job.%s.%u", id, *calls) >= NAME_SIZE) {
        errno = EINVAL;
        return -1;
    }
    (*calls)++;
    return 0;
}

flux_future_t *flux_barrier(flux_t *h, const char *name, int nprocs)
{
    char made[NAME_SIZE];

    if (!h || nprocs < 1 || (name && !name[0])) {
        errno = EINVAL;
        return NULL;
    }
    if (!name && make_name(h, made) < 0)
        return NULL;
    return flux_rpc_pack(h, "barrier.enter", FLUX_NODEID_ANY, 0, "{s:s s:i}", "name",
                         name ? name : made, "nprocs", nprocs);
}
