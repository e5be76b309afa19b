/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* kvs.setroot as a follower takes it: the bytes are first an update of its own, then one that comes
 * after a good one while keys are watched. Whatever is in it, the root never goes back and the
 * follower goes on. */
#include <stdlib.h>
#include <string.h>
#include <flux/kvs.h>
#include "kvs/kvs.h"
#include "kvs/update.h"
#include "kvs/watch.h"

#define OWNER 1000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A store that never answers. */
static int on_load(const uint8_t digest[DIGEST_SIZE], void *arg)
{
    return 0;
}

static int on_commit(const void *payload, size_t size, void *arg)
{
    abort(); /* a follower stores nothing */
}

static void on_fatal(const char *why, void *arg)
{
    abort();
}

static void on_deliver(struct watch *w, const char *text, void *arg)
{
}

static void on_end(struct watch *w, int errnum, void *arg)
{
}

static void watch_key(struct kvs *k, const char *key, int flags)
{
    const struct watch_args args = {
        .ns = KVS_PRIMARY_NAMESPACE,
        .key = key,
        .flags = flags,
        .who = { .userid = OWNER, .is_owner = true },
        .deliver = on_deliver,
        .end = on_end,
    };
    struct watch *w;

    (void)watch_new(k, &args, &w);
}

/* {} and a root that has it. */
static void begin(struct kvs *k)
{
    static const char empty[] = "{\"ver\":1,\"type\":\"dir\",\"data\":{}}";
    CLEANUP(json_decrefp) json_t *update = NULL;
    uint8_t digest[DIGEST_SIZE];
    char ref[BLOBREF_STRING_SIZE];

    digest_compute(DIGEST_BLAKE2B, empty, strlen(empty), digest);
    blobref_format(DIGEST_BLAKE2B, digest, ref);
    update =
        json_pack("{s:s s:s s:i s:i s:i s:[] s:[s]}", "namespace", KVS_PRIMARY_NAMESPACE, "rootref",
                  ref, "rootseq", 3, "owner", OWNER, "flags", 0, "keys", "objs", empty);
    if (update_apply(k, update) != UPDATE_GAP)
        abort();
    watch_key(k, "a.b", FLUX_KVS_WATCH | FLUX_KVS_WAITCREATE);
    watch_key(k, ".", FLUX_KVS_WATCH | FLUX_KVS_WATCH_FULL | FLUX_KVS_READDIR);
}

static void apply(struct kvs *k, const json_t *update)
{
    const struct namespace *ns = namespace_find(k->namespaces, KVS_PRIMARY_NAMESPACE);
    const int64_t before = ns && ns->exists ? ns->seq : -1;

    for (int i = 0; i < 2; i++)
        (void)update_apply(k, update);
    ns = namespace_find(k->namespaces, KVS_PRIMARY_NAMESPACE);
    if (before >= 0 && (!ns || !ns->exists || ns->seq < before))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct kvs_backend backend = { on_load, on_commit, on_fatal, NULL };
    const struct kvs_params params = {
        .hash = DIGEST_BLAKE2B,
        .cache_size = 1u << 20,
        .owner = OWNER,
        .backend = &backend,
    };
    CLEANUP(json_decrefp)
    json_t *update = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(update))
        return 0;
    for (int with_root = 0; with_root < 2; with_root++) {
        CLEANUP(kvs_freep) struct kvs *k = NULL;

        if (kvs_new(&params, &k) < 0)
            return 0;
        if (with_root)
            begin(k);
        apply(k, update);
    }
    return 0;
}
