/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What one request wants stored: blobs, roots, a checkpoint. Knows no threads and no messages. */
#ifndef CONTENT_CHANGE_H
#define CONTENT_CHANGE_H

#include <jansson.h>
#include "base/list.h"
#include "content/store.h"

struct change {
    TAILQ_ENTRY(change) link;
    /* Input: memory belongs to whoever made the change and outlives it. */
    const void *raw; /* the payload of content.commit, if it came in one */
    size_t raw_size;
    const void *data; /* all blobs, one after the other */
    size_t data_size;
    const json_t *sizes; /* array of the blobs' sizes; NULL: data, if any, is one blob */
    const json_t *roots; /* array of {"ns","root"}; NULL: none */
    const char *checkpoint_key;
    const char *checkpoint_value;
    int64_t loose; /* when it was stored, in seconds, of a blob that came by itself; 0: not so */
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
/* The beginning of such a payload, for a change that came in another request: everything before the
 * blobs. The header has one member more for a checkpoint, "checkpoint":{"key","value"}, where value
 * is text, and for a blob that came by itself, "loose":SECONDS. malloc'd; -ENOMEM. */
int change_encode(const struct change *ch, void **ret_buf, size_t *ret_size);

size_t change_nblobs(const struct change *ch);
/* The blobs lie in data one after the other. */
size_t change_blob_size(const struct change *ch, size_t i);

#endif
