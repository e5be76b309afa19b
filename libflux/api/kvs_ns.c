/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Namespaces, their roots and versions: see flux_kvs_namespace_create(3), flux_kvs_getroot(3). */
#include <errno.h>
#include "api/kvs_internal.h"

static flux_future_t *invalid(void)
{
    errno = EINVAL;
    return NULL;
}

flux_future_t *flux_kvs_namespace_create_with(flux_t *h, const char *ns, const char *rootref,
                                              uint32_t owner, int flags)
{
    const json_int_t user = owner == FLUX_USERID_UNKNOWN ? -1 : (json_int_t)owner;

    if (!h || !ns || !*ns || flags)
        return invalid();
    return flux_rpc_pack(h, "kvs.namespace-create", FLUX_NODEID_ANY, 0, "{s:s s:I s:i s:s*}",
                         "namespace", ns, "owner", user, "flags", flags, "rootref", rootref);
}

flux_future_t *flux_kvs_namespace_create(flux_t *h, const char *ns, uint32_t owner, int flags)
{
    return flux_kvs_namespace_create_with(h, ns, NULL, owner, flags);
}

flux_future_t *flux_kvs_namespace_remove(flux_t *h, const char *ns)
{
    if (!h || !ns || !*ns)
        return invalid();
    return flux_rpc_pack(h, "kvs.namespace-remove", FLUX_NODEID_ANY, 0, "{s:s}", "namespace", ns);
}

flux_future_t *flux_kvs_getroot(flux_t *h, const char *ns, int flags)
{
    if (!h || flags)
        return invalid();
    return flux_rpc_pack(h, "kvs.getroot", FLUX_NODEID_ANY, 0, "{s:s s:i}", "namespace",
                         kvs_namespace(ns), "flags", flags);
}

int flux_kvs_getroot_get_treeobj(flux_future_t *f, const char **treeobj)
{
    return kvs_get_rootref_treeobj(f, treeobj);
}

int flux_kvs_getroot_get_blobref(flux_future_t *f, const char **blobref)
{
    const char *ref;

    if (flux_rpc_get_unpack(f, "{s:s}", "rootref", &ref) < 0)
        return -1;
    if (blobref)
        *blobref = ref;
    return 0;
}

int flux_kvs_getroot_get_sequence(flux_future_t *f, int *seq)
{
    int n;

    if (flux_rpc_get_unpack(f, "{s:i}", "rootseq", &n) < 0)
        return -1;
    if (seq)
        *seq = n;
    return 0;
}

int flux_kvs_getroot_get_owner(flux_future_t *f, uint32_t *owner)
{
    json_int_t n;

    if (flux_rpc_get_unpack(f, "{s:I}", "owner", &n) < 0)
        return -1;
    if (owner)
        *owner = (uint32_t)n;
    return 0;
}

int flux_kvs_get_version(flux_t *h, const char *ns, int *versionp)
{
    flux_future_t *f = flux_kvs_getroot(h, ns, 0);
    int rc = f ? flux_kvs_getroot_get_sequence(f, versionp) : -1;

    flux_future_destroy(f);
    return rc;
}

int flux_kvs_wait_version(flux_t *h, const char *ns, int version)
{
    flux_future_t *f;
    int rc;

    if (!h || version < 0) {
        errno = EINVAL;
        return -1;
    }
    f = flux_rpc_pack(h, "kvs.wait-version", FLUX_NODEID_ANY, 0, "{s:s s:i}", "namespace",
                      kvs_namespace(ns), "rootseq", version);
    rc = f ? flux_future_get(f, NULL) : -1;
    flux_future_destroy(f);
    return rc;
}

int flux_kvs_dropcache(flux_t *h)
{
    flux_future_t *f;
    int rc;

    if (!h) {
        errno = EINVAL;
        return -1;
    }
    f = flux_rpc(h, "kvs.dropcache", NULL, FLUX_NODEID_ANY, 0);
    rc = f ? flux_future_get(f, NULL) : -1;
    flux_future_destroy(f);
    return rc;
}
