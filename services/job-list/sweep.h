/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Finds the jobs of the store that were purged while nobody told us: of the oldest ones, those that
 * the KVS does not have any more, until as many are found as are missing. A purge takes the oldest
 * jobs, so this seldom looks further than it must. */
#ifndef JOB_LIST_SWEEP_H
#define JOB_LIST_SWEEP_H

#include <flux/core.h>
#include "job-list/store.h"

struct sweep;

/* nfound were removed from the store; fewer than asked for: no others are missing from the KVS. rc:
 * 0 or -errno, it did not come to its end. */
typedef void (*sweep_done_f)(uint64_t nfound, int rc, void *arg);

int sweep_new(flux_t *h, struct store *store, sweep_done_f done, void *arg, struct sweep **ret);
struct sweep *sweep_free(struct sweep *sw);
DEFINE_CLEANUP(struct sweep *, sweep_free)

/* 0, -EBUSY (it is at it), -ENOMEM. */
int sweep_start(struct sweep *sw, uint64_t nmissing);
bool sweep_active(const struct sweep *sw);

#endif
