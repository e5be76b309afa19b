/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Commits and fences: see flux_kvs_commit(3). */
#include <errno.h>
#include <string.h>
#include "api/kvs_internal.h"
#include "api/treeobj.h"
#include "base/cleanup.h"

const char *kvs_namespace(const char *ns)
{
    if (!ns)
        ns = getenv("FLUX_KVS_NAMESPACE");
    return ns && *ns ? ns : KVS_PRIMARY_NAMESPACE;
}

static flux_future_t *invalid(void)
{
    errno = EINVAL;
    return NULL;
}

flux_future_t *flux_kvs_commit(flux_t *h, const char *ns, int flags, flux_kvs_txn_t *txn)
{
    if (!h || !txn || (flags & ~KVS_COMMIT_FLAGS))
        return invalid();
    return flux_rpc_pack(h, "kvs.commit", FLUX_NODEID_ANY, 0, "{s:s s:i s:O}", "namespace",
                         kvs_namespace(ns), "flags", flags, "ops", kvs_txn_ops(txn));
}

flux_future_t *flux_kvs_fence(flux_t *h, const char *ns, int flags, const char *name, int nprocs,
                              flux_kvs_txn_t *txn)
{
    if (!h || !txn || !name || !*name || nprocs <= 0 || (flags & ~KVS_COMMIT_FLAGS))
        return invalid();
    return flux_rpc_pack(h, "kvs.fence", FLUX_NODEID_ANY, 0, "{s:s s:i s:s s:i s:O}", "namespace",
                         kvs_namespace(ns), "flags", flags, "name", name, "nprocs", nprocs, "ops",
                         kvs_txn_ops(txn));
}

int kvs_get_rootref_treeobj(flux_future_t *f, const char **treeobj)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    char *text = flux_future_aux_get(f, "flux::kvs_rootref");
    const char *ref;

    if (!text) {
        if (flux_rpc_get_unpack(f, "{s:s}", "rootref", &ref) < 0)
            return -1;
        if (!(o = treeobj_create_dirref(ref)) || !(text = treeobj_encode(o)))
            return -1;
        if (flux_future_aux_set(f, "flux::kvs_rootref", text, free) < 0) {
            free(text);
            return -1;
        }
    }
    if (treeobj)
        *treeobj = text;
    return 0;
}

int flux_kvs_commit_get_treeobj(flux_future_t *f, const char **treeobj)
{
    return kvs_get_rootref_treeobj(f, treeobj);
}

int flux_kvs_commit_get_rootref(flux_future_t *f, const char **rootref)
{
    const char *ref;

    if (flux_rpc_get_unpack(f, "{s:s}", "rootref", &ref) < 0)
        return -1;
    if (rootref)
        *rootref = ref;
    return 0;
}

int flux_kvs_commit_get_sequence(flux_future_t *f, int *seq)
{
    int n;

    if (flux_rpc_get_unpack(f, "{s:i}", "rootseq", &n) < 0)
        return -1;
    if (seq)
        *seq = n;
    return 0;
}
