/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The [content] table: sync, hash, blob-size-limit, purge-target-size,
 * purge-old-entry, loose-age. Refuses what it does not
 * understand in these keys; other keys are left to others. */
#include <errno.h>
#include "base/errorx.h"
#include "base/fsd.h"
#include "base/number.h"
#include "content/settings.h"

#define AGE_MAX 1e12 /* seconds; "infinity" is none */

/* A number of bytes: an integer, or text with K, M, G. */
static int parse_size(const json_t *table, const char *key, size_t max, size_t *size,
                      flux_error_t *error)
{
    const json_t *o = json_object_get(table, key);
    uint64_t n;

    if (!o)
        return 0;
    if (json_is_integer(o) && json_integer_value(o) >= 0)
        n = (uint64_t)json_integer_value(o);
    else if (!json_is_string(o) || number_parse_size(json_string_value(o), &n) < 0)
        return errorx_fail(error, EINVAL, "content.%s: not a number of bytes", key);
    if (n > max)
        return errorx_fail(error, EINVAL, "content.%s: more than %zu", key, max);
    *size = n;
    return 0;
}

/* A duration: a number of seconds, or text as of RFC 23. */
static int parse_age(const json_t *table, const char *key, double *seconds, flux_error_t *error)
{
    const json_t *o = json_object_get(table, key);
    double n = json_number_value(o);

    if (!o)
        return 0;
    if (!(json_is_number(o) || (json_is_string(o) && fsd_parse(json_string_value(o), &n) == 0)) ||
        !(n >= 0.))
        return errorx_fail(error, EINVAL, "content.%s: not a duration", key);
    *seconds = n < AGE_MAX ? n : AGE_MAX;
    return 0;
}

int settings_parse(const json_t *table, bool durable, struct settings *ret, flux_error_t *error)
{
    struct settings s = {
        .sync = durable ? STORE_SYNC_FULL : STORE_SYNC_OFF,
        .hash = DIGEST_BLAKE2B,
        .blob_size_limit = CONTENT_BLOB_MAX,
        .purge_target_size = 16u << 20,
        .purge_old_entry = 10,
        .loose_age = 86400,
    };
    const json_t *sync = json_object_get(table, "sync");
    const json_t *hash = json_object_get(table, "hash");
    const json_t *old = json_object_get(table, "purge-old-entry");
    int rc;

    if (table && !json_is_object(table))
        return errorx_fail(error, EINVAL, "content: not a table");
    if (sync && (!json_is_string(sync) || store_sync_parse(json_string_value(sync), &s.sync) < 0))
        return errorx_fail(error, EINVAL, "content.sync: use off, normal or full");
    if (hash &&
        (!json_is_string(hash) || digest_algorithm_parse(json_string_value(hash), &s.hash) < 0))
        return errorx_fail(error, EINVAL, "content.hash: use blake2b or sha256");
    if ((rc = parse_size(table, "blob-size-limit", CONTENT_BLOB_MAX, &s.blob_size_limit, error)) <
            0 ||
        (rc = parse_size(table, "purge-target-size", SIZE_MAX, &s.purge_target_size, error)) < 0 ||
        (rc = parse_age(table, "loose-age", &s.loose_age, error)) < 0)
        return rc;
    if (old && (!json_is_number(old) || json_number_value(old) < 0))
        return errorx_fail(error, EINVAL, "content.purge-old-entry: not a number of seconds");
    if (old)
        s.purge_old_entry = json_number_value(old);
    *ret = s;
    return 0;
}
