/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Asks nodes what they have: one small message each way, CENSUS_LIMIT of them under way at once. */
#ifndef RESOURCE_CENSUS_H
#define RESOURCE_CENSUS_H

#include "service/service.h"

#define CENSUS_LIMIT 128

struct census;

struct census_answer {
    uint32_t rank;
    const char *hostname;
    const struct idset *cores, *gpus; /* hwloc's logical ids */
};

typedef void (*census_f)(const struct census_answer *answer, void *arg);

/* fn: called once for each rank asked for, from the loop, unless it was forgotten meanwhile. A rank
 * that cannot answer: hostname NULL, the log has the reason. */
int census_new(struct service *svc, census_f fn, void *arg, struct census **ret);
struct census *census_free(struct census *c);

/* Ask these ranks, or once more, if they are being asked. */
int census_ask(struct census *c, const struct idset *ranks);
/* These have gone: their answers are of no use. */
void census_forget(struct census *c, const struct idset *ranks);

#endif
