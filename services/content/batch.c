/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Group commit: many changes, one transaction, one fsync.
 *
 * Invariant: a change whose err is 0 is in the file as durably as the store was told to keep it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "base/errorx.h"
#include "content/batch.h"

#define BATCH_BLOBS_MAX 1000000

static int check_sizes(const json_t *sizes, size_t total, size_t blob_limit, flux_error_t *error)
{
    size_t sum = 0;
    const json_t *n;
    size_t i;

    if (!json_is_array(sizes) || json_array_size(sizes) > BATCH_BLOBS_MAX)
        return errorx_fail(error, EPROTO, "blobs is not an array of sizes");
    json_array_foreach (sizes, i, n) {
        if (!json_is_integer(n) || json_integer_value(n) < 0)
            return errorx_fail(error, EPROTO, "blobs: a size is not a number");
        if ((uint64_t)json_integer_value(n) > blob_limit)
            return errorx_fail(error, EFBIG, "a blob of %lld bytes is larger than the limit of %zu",
                               (long long)json_integer_value(n), blob_limit);
        sum += (size_t)json_integer_value(n);
        if (sum > total)
            break;
    }
    if (sum != total)
        return errorx_fail(error, EPROTO, "the sizes do not add up to the %zu bytes that came",
                           total);
    return 0;
}

static int check_roots(const json_t *roots, flux_error_t *error)
{
    const json_t *o;
    size_t i;

    if (!roots)
        return 0;
    if (!json_is_array(roots))
        return errorx_fail(error, EPROTO, "roots is not an array");
    json_array_foreach (roots, i, o) {
        const json_t *root = json_object_get(o, "root");

        if (!json_is_string(json_object_get(o, "ns")) ||
            !(json_is_object(root) || json_is_null(root)))
            return errorx_fail(error, EPROTO, "roots: an entry lacks ns or root");
    }
    return 0;
}

int change_decode(const void *buf, size_t size, size_t blob_limit, struct change *ret_change,
                  json_t **ret_header, flux_error_t *error)
{
    CLEANUP(json_decrefp) json_t *header = NULL;
    struct change ch = { 0 };
    uint32_t n;
    int rc;

    if (size < sizeof(n))
        return errorx_fail(error, EPROTO, "shorter than a header");
    memcpy(&n, buf, sizeof(n));
    n = ntohl(n);
    if (n > size - sizeof(n))
        return errorx_fail(error, EPROTO, "header is longer than the message");
    if (!(header = json_loadb((const char *)buf + sizeof(n), n, JSON_REJECT_DUPLICATES, NULL)) ||
        !json_is_object(header))
        return errorx_fail(error, EPROTO, "header is not a JSON object");
    ch.data = (const char *)buf + sizeof(n) + n;
    ch.data_size = size - sizeof(n) - n;
    ch.sizes = json_object_get(header, "blobs");
    ch.roots = json_object_get(header, "roots");
    if ((rc = check_sizes(ch.sizes, ch.data_size, blob_limit, error)) < 0 ||
        (rc = check_roots(ch.roots, error)) < 0)
        return rc;
    *ret_change = ch;
    *ret_header = TAKE(header);
    return 0;
}

static int put_blob(struct store *st, enum digest_algorithm hash, struct change *ch,
                    const void *data, size_t size)
{
    digest_compute(hash, size ? data : "", size, ch->digest);
    return store_put_blob(st, ch->digest, data, size);
}

static int apply_blobs(struct store *st, enum digest_algorithm hash, struct change *ch)
{
    const char *data = ch->data;
    const json_t *n;
    size_t i;
    int rc;

    if (!ch->sizes)
        return data ? put_blob(st, hash, ch, data, ch->data_size) : 0;
    json_array_foreach (ch->sizes, i, n) {
        size_t size = (size_t)json_integer_value(n);

        if ((rc = put_blob(st, hash, ch, data, size)) < 0)
            return rc;
        data += size;
    }
    return 0;
}

static int apply_roots(struct store *st, const json_t *roots)
{
    const json_t *o;
    size_t i;

    json_array_foreach (roots, i, o) {
        const json_t *root = json_object_get(o, "root");
        const char *ns = json_string_value(json_object_get(o, "ns"));
        CLEANUP(freep) char *text = NULL;
        int rc;

        if (!json_is_null(root) && !(text = json_dumps(root, JSON_COMPACT)))
            return -ENOMEM;
        if ((rc = store_set_root(st, ns, text)) < 0)
            return rc;
    }
    return 0;
}

static int apply_change(struct store *st, enum digest_algorithm hash, struct change *ch)
{
    int rc;

    if ((rc = apply_blobs(st, hash, ch)) < 0 || (rc = apply_roots(st, ch->roots)) < 0)
        return rc;
    return ch->checkpoint_key ? store_set_checkpoint(st, ch->checkpoint_key, ch->checkpoint_value)
                              : 0;
}

/* One transaction over [first, end). All or nothing. */
static int apply_range(struct store *st, enum digest_algorithm hash, struct change *first,
                       struct change *end)
{
    int rc = store_begin(st);

    for (struct change *ch = first; rc == 0 && ch != end; ch = TAILQ_NEXT(ch, link))
        rc = apply_change(st, hash, ch);
    if (rc == 0)
        rc = store_commit(st);
    if (rc < 0)
        store_rollback(st);
    for (struct change *ch = first; ch != end; ch = TAILQ_NEXT(ch, link))
        ch->err = rc;
    return rc;
}

int batch_apply(struct store *st, enum digest_algorithm hash, struct change_list *changes)
{
    struct change *first = TAILQ_FIRST(changes);
    struct change *ch;
    int rc;

    if (!first || (rc = apply_range(st, hash, first, NULL)) == 0)
        return 0;
    if (rc != -EIO && TAILQ_NEXT(first, link)) {
        TAILQ_FOREACH (ch, changes, link) {
            if ((rc = apply_range(st, hash, ch, TAILQ_NEXT(ch, link))) == -EIO)
                break;
        }
    }
    if (rc != -EIO)
        return 0;
    TAILQ_FOREACH (ch, changes, link)
        ch->err = -EIO;
    return -EIO;
}
