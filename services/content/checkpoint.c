/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Whoever puts a checkpoint chooses what its value looks like ("rootref" is what RFC 10's has): any
 * string of it that is a blobref counts. Jansson's decoder bounds how deep a value is. */
#include <errno.h>
#include "base/cleanup.h"
#include "content/checkpoint.h"

static int add_refs(const json_t *o, enum digest_algorithm hash, json_t *refs)
{
    uint8_t digest[DIGEST_SIZE];
    enum digest_algorithm found;
    const char *key;
    json_t *member;
    size_t i;
    int rc = 0;

    if (json_is_string(o) && blobref_parse(json_string_value(o), &found, digest) == 0 &&
        found == hash && json_array_append(refs, (json_t *)o) < 0)
        return -ENOMEM;
    json_array_foreach (o, i, member) {
        if (rc == 0)
            rc = add_refs(member, hash, refs);
    }
    json_object_foreach ((json_t *)o, key, member) {
        if (rc == 0)
            rc = add_refs(member, hash, refs);
    }
    return rc;
}

int checkpoint_refs(const json_t *checkpoints, enum digest_algorithm hash, json_t *refs)
{
    const char *key;
    json_t *text;
    int rc = 0;

    json_object_foreach ((json_t *)checkpoints, key, text) {
        CLEANUP(json_decrefp)
        json_t *value = json_loads(json_string_value(text), JSON_DECODE_ANY, NULL);

        if (rc == 0)
            rc = add_refs(value, hash, refs);
    }
    return rc;
}
