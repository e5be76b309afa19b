/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The [content] table. */
#ifndef CONTENT_SETTINGS_H
#define CONTENT_SETTINGS_H

#include <jansson.h>
#include "content/store.h"

#define CONTENT_BLOB_MAX (1u << 30) /* bytes of the largest blob, whatever is configured */

struct settings {
    enum store_sync sync;
    enum digest_algorithm hash;
    size_t blob_size_limit;
    size_t purge_target_size;
    double purge_old_entry; /* seconds */
    double loose_age;       /* seconds */
};

/* table: the [content] table or NULL. durable: there is a state directory, so the default of sync
 * is full. 0, or -EINVAL with a sentence that names the key. */
int settings_parse(const json_t *table, bool durable, struct settings *ret, flux_error_t *error);

#endif
