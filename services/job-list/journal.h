/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* job-manager.events-journal, opened again whenever it breaks. */
#ifndef JOB_LIST_JOURNAL_H
#define JOB_LIST_JOURNAL_H

#include <jansson.h>
#include <flux/core.h>
#include "base/cleanup.h"

struct journal;

struct journal_page {     /* one response */
    const json_t *jobs;   /* records; an empty array without purged: all history was told */
    const json_t *purged; /* ids; or NULL */
    uint64_t ninactive, npurged;
    uint64_t serial; /* of the last thing told */
};

struct journal_ops {
    uint64_t (*since)(void *arg); /* about to be opened: from which inactive job on? */
    /* 0, or -errno: the journal is of no use, open it again. */
    int (*page)(const struct journal_page *page, void *arg);
    void (*lost)(void *arg);
};

int journal_new(flux_t *h, const struct journal_ops *ops, void *arg, struct journal **ret);
struct journal *journal_free(struct journal *j);
DEFINE_CLEANUP(struct journal *, journal_free)

#endif
