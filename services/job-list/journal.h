/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* job-manager.events-journal, opened again whenever it breaks. */
#ifndef JOB_LIST_JOURNAL_H
#define JOB_LIST_JOURNAL_H

#include <jansson.h>
#include <flux/core.h>
#include "base/cleanup.h"

struct journal;

struct journal_ops {
    uint64_t (*since)(void *arg); /* about to be opened: from which inactive job on? */
    /* Records of one response; an empty array: all history was told. ninactive as of now. 0, or
     * -errno: the journal is of no use, open it again. */
    int (*records)(const json_t *jobs, uint64_t ninactive, void *arg);
    void (*lost)(void *arg);
};

int journal_new(flux_t *h, const struct journal_ops *ops, void *arg, struct journal **ret);
struct journal *journal_free(struct journal *j);
DEFINE_CLEANUP(struct journal *, journal_free)

#endif
