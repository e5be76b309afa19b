/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A long value passes in pieces, which go to the content store and come from it: the key-value
 * store sees their references only, and nobody has the value as a whole in memory. That is for the
 * owner of the instance; other users may not use the content store, and have it whole. So has, on
 * its way in, what is appended. */
#include "kvs-value.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/treeobj.h"
#include "base/number.h"
#include "blob-window.h"
#include "client.h"

#define PIECE     (4u << 20)  /* bytes: as the store itself cuts what is long */
#define GUEST_MAX (47u << 20) /* bytes that a user who is not the owner may send, as base64 */

static bool is_owner(flux_t *h)
{
    const char *owner = flux_attr_get(h, "security.owner");
    uint64_t uid;

    return owner && number_parse_u64(owner, UINT32_MAX, &uid) == 0 && uid == geteuid();
}

/* --- in */

/* The first piece, and all that follows it. */
static int put_whole(flux_t *h, flux_kvs_txn_t *txn, int txn_flags, const char *key, char *piece,
                     size_t size)
{
    const size_t max = is_owner(h) ? INT_MAX : GUEST_MAX;
    CLEANUP(freep) char *data = NULL;
    ssize_t n = (ssize_t)size;
    size_t total = 0;
    FILE *f = open_memstream(&data, &total);

    if (!f)
        return complain("out of memory");
    while (n > 0 && total <= max) {
        fwrite(piece, 1, (size_t)n, f);
        (void)fflush(f); /* for total */
        n = blob_read_stdin(piece, PIECE);
    }
    if (fclose(f) != 0)
        return complain("out of memory");
    if (n < 0)
        return EXIT_FAILURE;
    if (total > max)
        return complain("%s: more than %zu MiB cannot be committed at once; --append adds to it",
                        key, max >> 20);
    if (flux_kvs_txn_put_raw(txn, txn_flags, key, data, (int)total) < 0)
        return complain("%s: %s", key, strerror(errno));
    return EXIT_SUCCESS;
}

static int on_stored(const char *blobref, void *arg)
{
    return json_array_append_new(arg, json_string(blobref)) == 0 ? EXIT_SUCCESS
                                                                 : complain("out of memory");
}

static int put_pieces(flux_t *h, flux_kvs_txn_t *txn, const char *key, char *piece)
{
    CLEANUP(json_decrefp) json_t *refs = json_array();
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *text = NULL;
    CLEANUP(blob_window_deinit)
    struct blob_window w = { .h = h, .on_stored = on_stored, .arg = refs };
    json_int_t total = 0;

    (void)flux_attr_get(h, "content.hash"); /* known, it saves the other hash of each blob */
    for (ssize_t n = PIECE; n > 0; n = blob_read_stdin(piece, PIECE)) {
        if (blob_window_store(&w, piece, (size_t)n) != EXIT_SUCCESS)
            return EXIT_FAILURE;
        total += n;
    }
    if (blob_window_finish(&w) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    o = json_pack("{s:i s:s s:O s:I}", "ver", 1, "type", "valref", "data", refs, "size", total);
    if (!o || !(text = treeobj_encode(o)) || flux_kvs_txn_put_treeobj(txn, 0, key, text) < 0)
        return complain("%s: %s", key, strerror(errno));
    return EXIT_SUCCESS;
}

int kvs_value_from_stdin(flux_t *h, flux_kvs_txn_t *txn, int txn_flags, const char *key)
{
    CLEANUP(freep) char *piece = malloc(PIECE);
    ssize_t n;

    if (!piece)
        return complain("out of memory");
    if ((n = blob_read_stdin(piece, PIECE)) < 0)
        return EXIT_FAILURE;
    if (n < (ssize_t)PIECE || txn_flags != 0 || !is_owner(h))
        return put_whole(h, txn, txn_flags, key, piece, (size_t)n);
    return put_pieces(h, txn, key, piece);
}

/* --- out */

bool kvs_value_is_long(flux_t *h, const char *treeobj)
{
    CLEANUP(json_decrefp) json_t *o = treeobj_decode(treeobj, strlen(treeobj));

    return o && treeobj_is_type(o, "valref") && json_array_size(treeobj_data(o)) > 1 && is_owner(h);
}

int kvs_value_each(flux_t *h, const char *treeobj,
                   int (*fn)(const void *data, size_t size, void *arg), void *arg)
{
    CLEANUP(json_decrefp) json_t *o = treeobj_decode(treeobj, strlen(treeobj));
    CLEANUP(blob_window_deinit)
    struct blob_window w = { .h = h, .on_loaded = fn, .arg = arg };
    const json_t *ref;
    size_t i;
    int status;

    json_array_foreach (treeobj_data(o), i, ref) {
        if ((status = blob_window_load(&w, json_string_value(ref))) != EXIT_SUCCESS)
            return status;
    }
    return blob_window_finish(&w);
}

static int on_loaded(const void *data, size_t size, void *arg)
{
    *(size_t *)arg += size;
    if (fwrite(data, 1, size, stdout) != size)
        output_fail();
    return EXIT_SUCCESS;
}

int kvs_value_print(flux_t *h, const char *treeobj, size_t *ret_size)
{
    *ret_size = 0;
    return kvs_value_each(h, treeobj, on_loaded, ret_size);
}
