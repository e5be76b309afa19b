/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Puts the parts together. */
#include <errno.h>
#include <string.h>
#include "base/errorx.h"
#include "kvs/commit.h"
#include "kvs/fence.h"
#include "kvs/gc.h"
#include "kvs/kvs.h"
#include "kvs/loader.h"
#include "kvs/watch.h"

static int source_get(struct dir_source *src, const uint8_t digest[DIGEST_SIZE], struct dir **ret)
{
    struct kvs *k = container_of(src, struct kvs, source);
    struct obj *o = objcache_find(k->cache, OBJ_DIR, digest);

    if (!o) {
        memcpy(src->missing, digest, DIGEST_SIZE);
        return -EAGAIN;
    }
    *ret = obj_dir(o);
    return 0;
}

int kvs_new(const struct kvs_params *params, struct kvs **ret)
{
    CLEANUP(kvs_freep) struct kvs *k = calloc(1, sizeof(*k));
    int rc;

    if (!k)
        return -ENOMEM;
    k->params = *params;
    k->source.alg = params->hash;
    k->source.get = source_get;
    if ((rc = objcache_new(params->cache_size, &k->cache)) < 0 ||
        (rc = namespaces_new(&k->namespaces)) < 0 || (rc = loader_new(&k->loader)) < 0 ||
        (rc = watches_new(k, &k->watches)) < 0 || (rc = gc_new(k, &k->gc)) < 0 ||
        (rc = committer_new(k, &k->committer)) < 0 || (rc = fences_new(k, &k->fences)) < 0)
        return rc;
    *ret = TAKE(k);
    return 0;
}

struct kvs *kvs_free(struct kvs *k)
{
    if (k) {
        fences_free(k->fences);
        committer_free(k->committer);
        gc_free(k->gc);
        watches_free(k->watches);
        loader_free(k->loader, k);
        namespaces_free(k->namespaces);
        objcache_free(k->cache);
        free(k);
    }
    return NULL;
}

static int set_root(struct kvs *k, const json_t *entry)
{
    const char *name, *ref;
    json_int_t seq, owner;
    int flags;
    enum digest_algorithm alg;
    struct namespace *ns;
    int rc;

    if (json_unpack((json_t *)entry, "{s:s s:{s:s s:I s:I s:i}}", "ns", &name, "root", "rootref",
                    &ref, "seq", &seq, "owner", &owner, "flags", &flags) < 0)
        return -EPROTO;
    if ((rc = namespace_add(k->namespaces, name, &ns)) < 0)
        return rc;
    if (blobref_parse(ref, &alg, ns->root) < 0 || alg != k->params.hash)
        return -EPROTO;
    ns->exists = true;
    ns->seq = seq;
    ns->owner = (uint32_t)owner;
    ns->flags = flags;
    return namespace_rewind(k->namespaces, ns);
}

int kvs_set_roots(struct kvs *k, const json_t *roots, flux_error_t *error)
{
    const json_t *entry;
    size_t i;

    if (!json_is_array(roots))
        return errorx_fail(error, EPROTO, "the content store did not answer with its roots");
    json_array_foreach (roots, i, entry) {
        int rc = set_root(k, entry);

        if (rc < 0)
            return errorx_fail(error, -rc, "root %zu (%s) of the content store is not usable", i,
                               json_string_value(json_object_get(entry, "ns")));
    }
    return 0;
}

int kvs_access(struct kvs *k, const char *name, const struct caller *who, struct namespace **ret)
{
    struct namespace *ns = namespace_find(k->namespaces, name);

    if (!ns || !ns->exists)
        return -ENOTSUP;
    if (!who->is_owner && who->userid != ns->owner)
        return -EPERM;
    *ret = ns;
    return 0;
}
