/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Decoding what is to be stored. Refuses what does not add up, before anything is written. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "base/errorx.h"
#include "content/change.h"

#define CHANGE_BLOBS_MAX 1000000

static int check_sizes(const json_t *sizes, size_t total, size_t blob_limit, flux_error_t *error)
{
    size_t sum = 0;
    const json_t *n;
    size_t i;

    if (!json_is_array(sizes) || json_array_size(sizes) > CHANGE_BLOBS_MAX)
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
    ch.raw = buf;
    ch.raw_size = size;
    ch.data = (const char *)buf + sizeof(n) + n;
    ch.data_size = size - sizeof(n) - n;
    ch.sizes = json_object_get(header, "blobs");
    ch.roots = json_object_get(header, "roots");
    ch.loose = json_integer_value(json_object_get(header, "loose"));
    if ((rc = check_sizes(ch.sizes, ch.data_size, blob_limit, error)) < 0 ||
        (rc = check_roots(ch.roots, error)) < 0)
        return rc;
    *ret_change = ch;
    *ret_header = TAKE(header);
    return 0;
}

int change_encode(const struct change *ch, void **ret_buf, size_t *ret_size)
{
    CLEANUP(json_decrefp) json_t *header = NULL;
    CLEANUP(freep) char *text = NULL;
    CLEANUP(freep) char *buf = NULL;
    uint32_t n;

    if (ch->checkpoint_key)
        header = json_pack("{s:[] s:{s:s s:s}}", "blobs", "checkpoint", "key", ch->checkpoint_key,
                           "value", ch->checkpoint_value);
    else if (ch->loose > 0)
        header = json_pack("{s:[I] s:I}", "blobs", (json_int_t)ch->data_size, "loose",
                           (json_int_t)ch->loose);
    else
        header = json_pack("{s:[I]}", "blobs", (json_int_t)ch->data_size);
    if (!header || !(text = json_dumps(header, JSON_COMPACT)) ||
        !(buf = malloc(sizeof(n) + strlen(text))))
        return -ENOMEM;
    n = htonl((uint32_t)strlen(text));
    memcpy(buf, &n, sizeof(n));
    memcpy(buf + sizeof(n), text, strlen(text));
    *ret_buf = TAKE(buf);
    *ret_size = sizeof(n) + strlen(text);
    return 0;
}

size_t change_nblobs(const struct change *ch)
{
    return ch->sizes ? json_array_size(ch->sizes) : ch->data != NULL;
}

size_t change_blob_size(const struct change *ch, size_t i)
{
    return ch->sizes ? (size_t)json_integer_value(json_array_get(ch->sizes, i)) : ch->data_size;
}
