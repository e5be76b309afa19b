/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A new SQLite file from what is sound in a damaged one. Takes as long as that takes; nothing else
 * may use the files meanwhile. */
#ifndef CONTENT_SALVAGE_H
#define CONTENT_SALVAGE_H

#include <stdatomic.h>
#include "content/store.h"

struct salvage_report {
    uint64_t blobs, bytes; /* in the new file */
    uint64_t damaged;      /* blobs that were left behind; those whose page is gone are not known */
    uint64_t roots, lost_roots;
    bool broken;     /* pages could not be read */
    bool empty;      /* there was nothing to take over */
    char kept[4096]; /* the path of the old file; empty: there was none */
};

/* The old file stays as PATH.damaged (and PATH.damaged-wal). Until the new one is complete it is
 * PATH.new; an end in between loses nothing, begin anew. The journal is not touched: it is read
 * when the store is opened. stop: give up, -ECANCELED; may be NULL. */
int salvage(const struct store_params *params, const atomic_bool *stop,
            struct salvage_report *report, flux_error_t *error);

#endif
