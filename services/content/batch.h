/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What one request wants stored: a list of blobs, roots and checkpoints, and how a list of such
 * requests becomes one transaction. Knows no threads and no messages. */
#ifndef CONTENT_BATCH_H
#define CONTENT_BATCH_H

#include <jansson.h>
#include "base/list.h"
#include "content/store.h"

struct change {
    TAILQ_ENTRY(change) link;
    /* Input: memory belongs to whoever made the change and outlives it. */
    const void *data; /* all blobs, one after the other */
    size_t data_size;
    const json_t *sizes; /* array of the blobs' sizes; NULL: data is one blob */
    const json_t *roots; /* array of {"ns","root"}; NULL: none */
    const char *checkpoint_key;
    const char *checkpoint_value;
    /* Output. */
    int err;                     /* 0: kept; -errno: nothing of this change was kept */
    uint8_t digest[DIGEST_SIZE]; /* of the last blob */
};
TAILQ_HEAD(change_list, change);

/* The payload of content.commit: u32be header size, header, blobs. Fills in a change that lends
 * from buf and from *ret_header (caller frees). Everything is checked here: -EPROTO with a sentence
 * or -EFBIG. */
int change_decode(const void *buf, size_t size, size_t blob_limit, struct change *ret_change,
                  json_t **ret_header, flux_error_t *error);

/* Applies all changes in one transaction and sets err in each. If that fails for want of space,
 * each is tried on its own, so that a large one does not take small ones with it. Returns 0, or
 * -EIO when the state of the file is unknown: nothing may be acknowledged, start anew. */
int batch_apply(struct store *st, enum digest_algorithm hash, struct change_list *changes);

#endif
