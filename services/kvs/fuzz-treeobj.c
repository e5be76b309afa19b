/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Tree objects as they come from the content store (dir and hdir blobs) and from clients (the ops
 * of a commit). What decodes must encode to something that decodes to the same. */
#include <stdlib.h>
#include <string.h>
#include "kvs/dir.h"
#include "kvs/key.h"
#include "kvs/kvs.h"
#include "kvs/txn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A guest of a store that is never asked to load or keep anything. */
static void decode_ops(const json_t *ops)
{
    static struct kvs k; /* txn_new_commit() needs its hash only */
    struct caller who = { .userid = 7 };
    struct txn *t = NULL;
    flux_error_t error;

    if (txn_new_commit(&k, "primary", 0, ops, &who, &t, &error) == 0)
        txn_free(t);
}

static void roundtrip(struct node *n)
{
    CLEANUP(node_unrefp) struct node *again = NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    struct strbuf first = { 0 }, second = { 0 };

    if (n->type == NODE_DIR) /* hashed ones need a store: their shape is fuzzed below */
        return;
    node_encode(n, DIGEST_BLAKE2B, &first);
    o = json_loadb(first.data, first.len, 0, NULL);
    if (!o || node_decode(o, n->name, n->name_len, DIGEST_BLAKE2B, &again) < 0)
        abort();
    node_encode(again, DIGEST_BLAKE2B, &second);
    if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
        abort();
    strbuf_deinit(&first);
    strbuf_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_decrefp) json_t *o = json_loadb((const char *)data, size, 0, NULL);
    CLEANUP(node_unrefp) struct node *n = NULL;
    CLEANUP(dir_unrefp) struct dir *d = NULL;
    struct strbuf sb = { 0 };

    if (dir_decode(data, size, DIGEST_BLAKE2B, &d) == 0)
        dir_encode(d, DIGEST_BLAKE2B, &sb);
    strbuf_deinit(&sb);
    if (o && node_decode(o, "x", 1, DIGEST_BLAKE2B, &n) == 0)
        roundtrip(n);
    if (json_is_array(o))
        decode_ops(o);
    return 0;
}
