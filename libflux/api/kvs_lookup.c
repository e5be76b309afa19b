/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Lookups and watches: see flux_kvs_lookup(3).
 *
 * A future carries one struct lookup. What the accessors make of a response (bytes, text,
 * directory) is made once and kept until the future is reset to a response with another text, or
 * destroyed; so results stay valid as the page promises, and accessors may be mixed freely.
 */
#include <errno.h>
#include <string.h>
#include "api/kvs_internal.h"
#include "api/treeobj.h"
#include "base/cleanup.h"
#include "base/jsonx.h"

#define MODE_FLAGS      (FLUX_KVS_READDIR | FLUX_KVS_READLINK | FLUX_KVS_TREEOBJ)
#define WATCH_HOW_FLAGS (FLUX_KVS_WATCH_FULL | FLUX_KVS_WATCH_UNIQ | FLUX_KVS_WATCH_APPEND)
#define WATCH_FLAGS     (FLUX_KVS_WATCH | FLUX_KVS_WAITCREATE | WATCH_HOW_FLAGS)

static const char *const aux_name = "flux::kvs_lookup";

struct lookup {
    char *key;
    char *atref; /* treeobj of flux_kvs_lookupat(), or NULL */
    int flags;

    char *response; /* text that the following were made of */
    json_t *treeobj;
    char *treeobj_text;
    bool have_value;
    char *value;
    size_t value_size;
    json_t *value_json;
    flux_kvsdir_t *dir;
};

static void lookup_clear(struct lookup *lk)
{
    free(lk->response);
    json_decref(lk->treeobj);
    free(lk->treeobj_text);
    free(lk->value);
    json_decref(lk->value_json);
    flux_kvsdir_destroy(lk->dir);
    memset(&lk->response, 0, sizeof(*lk) - offsetof(struct lookup, response));
}

static void lookup_free(struct lookup *lk)
{
    if (lk) {
        lookup_clear(lk);
        free(lk->key);
        free(lk->atref);
        free(lk);
    }
}
DEFINE_CLEANUP(struct lookup *, lookup_free)

static void lookup_destructor(void *arg)
{
    lookup_free(arg);
}

static int fail(int errnum)
{
    errno = errnum;
    return -1;
}

static bool flags_ok(int flags)
{
    int mode = flags & MODE_FLAGS & ~FLUX_KVS_TREEOBJ;

    if (flags & ~(MODE_FLAGS | WATCH_FLAGS))
        return false;
    if (mode == (FLUX_KVS_READDIR | FLUX_KVS_READLINK))
        return false;
    if ((flags & WATCH_HOW_FLAGS) && !(flags & FLUX_KVS_WATCH))
        return false;
    return !(flags & FLUX_KVS_WATCH_APPEND) || !(flags & MODE_FLAGS);
}

/* Attaches the lookup state to f. Returns f, or NULL after destroying it. */
static flux_future_t *lookup_attach(flux_future_t *f, const char *key, const char *atref, int flags)
{
    CLEANUP(lookup_freep) struct lookup *lk = calloc(1, sizeof(*lk));

    if (!f)
        return NULL;
    if (!lk || !(lk->key = strdup(key)) || (atref && !(lk->atref = strdup(atref))) ||
        flux_future_aux_set(f, aux_name, lk, lookup_destructor) < 0) {
        flux_future_destroy(f);
        errno = ENOMEM;
        return NULL;
    }
    TAKE(lk)->flags = flags;
    return f;
}

flux_future_t *flux_kvs_lookup(flux_t *h, const char *ns, int flags, const char *key)
{
    bool watch = flags & (FLUX_KVS_WATCH | FLUX_KVS_WAITCREATE);
    flux_future_t *f;

    if (!h || !key || !*key || !flags_ok(flags)) {
        errno = EINVAL;
        return NULL;
    }
    f = flux_rpc_pack(h, watch ? "kvs-watch.lookup" : "kvs.lookup", FLUX_NODEID_ANY,
                      watch ? FLUX_RPC_STREAMING : 0, "{s:s s:s s:i}", "key", key, "namespace",
                      kvs_namespace(ns), "flags", flags);
    return lookup_attach(f, key, NULL, flags);
}

flux_future_t *flux_kvs_lookupat(flux_t *h, int flags, const char *key, const char *treeobj)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    flux_future_t *f;

    if (!treeobj) /* as of now */
        return flux_kvs_lookup(h, NULL, flags, key);
    if (!h || !key || !*key || !flags_ok(flags) || (flags & WATCH_FLAGS)) {
        errno = EINVAL;
        return NULL;
    }
    if (!(o = treeobj_decode(treeobj, strlen(treeobj))))
        return NULL;
    f = flux_rpc_pack(h, "kvs.lookup", FLUX_NODEID_ANY, 0, "{s:s s:s s:i s:O}", "key", key,
                      "namespace", kvs_namespace(NULL), "flags", flags, "treeobj", o);
    return lookup_attach(f, key, treeobj, flags);
}

/* Waits for the response and decodes it unless that was done already. What only continues with a
 * lookup (flux_future_continue(3)) has its state when it is fulfilled, not before. */
static int lookup_update(flux_future_t *f, struct lookup **ret_lk)
{
    struct lookup *lk = f ? flux_future_aux_get(f, aux_name) : NULL;
    CLEANUP(json_decrefp) json_t *o = NULL;
    const char *text;
    json_t *val;

    if (!f)
        return fail(EINVAL);
    if (!lk) {
        if (flux_future_get(f, NULL) < 0)
            return -1;
        if (!(lk = flux_future_aux_get(f, aux_name)))
            return fail(EINVAL);
    }
    if (flux_rpc_get(f, &text) < 0)
        return -1;
    if (!text)
        return fail(EPROTO);
    if (!lk->response || strcmp(lk->response, text) != 0) {
        lookup_clear(lk);
        errno = 0;
        if (!(o = json_loads(text, 0, NULL)) || !(val = json_object_get(o, "val")))
            return fail(jsonx_errno(EPROTO));
        if (!(lk->response = strdup(text)))
            return fail(ENOMEM);
        lk->treeobj = json_incref(val);
    }
    *ret_lk = lk;
    return 0;
}

static int lookup_value(flux_future_t *f, struct lookup **ret_lk)
{
    struct lookup *lk;
    int rc;

    if (lookup_update(f, &lk) < 0)
        return -1;
    if (!lk->have_value) {
        if ((rc = treeobj_decode_val(lk->treeobj, &lk->value, &lk->value_size)) < 0)
            return fail(-rc);
        lk->have_value = true;
    }
    *ret_lk = lk;
    return 0;
}

int flux_kvs_lookup_get(flux_future_t *f, const char **value)
{
    struct lookup *lk;

    if (lookup_value(f, &lk) < 0)
        return -1;
    if (value)
        *value = lk->value_size > 0 ? lk->value : NULL;
    return 0;
}

int flux_kvs_lookup_get_raw(flux_future_t *f, const void **data, int *len)
{
    struct lookup *lk;

    if (lookup_value(f, &lk) < 0)
        return -1;
    if (data)
        *data = lk->value_size > 0 ? lk->value : NULL;
    if (len)
        *len = (int)lk->value_size;
    return 0;
}

int flux_kvs_lookup_get_unpack(flux_future_t *f, const char *fmt, ...)
{
    struct lookup *lk;
    va_list ap;
    int rc;

    if (!fmt)
        return fail(EINVAL);
    if (lookup_value(f, &lk) < 0)
        return -1;
    errno = 0;
    if (!lk->value_json &&
        !(lk->value_json = json_loadb(lk->value, lk->value_size, JSON_DECODE_ANY, NULL)))
        return fail(jsonx_errno(EINVAL));
    va_start(ap, fmt);
    rc = json_vunpack_ex(lk->value_json, NULL, 0, fmt, ap);
    va_end(ap);
    return rc < 0 ? fail(jsonx_errno(EINVAL)) : 0;
}

int flux_kvs_lookup_get_treeobj(flux_future_t *f, const char **treeobj)
{
    struct lookup *lk;

    if (lookup_update(f, &lk) < 0)
        return -1;
    if (!lk->treeobj_text && !(lk->treeobj_text = treeobj_encode(lk->treeobj)))
        return -1;
    if (treeobj)
        *treeobj = lk->treeobj_text;
    return 0;
}

int flux_kvs_lookup_get_dir(flux_future_t *f, const flux_kvsdir_t **dir)
{
    struct lookup *lk;
    const char *text;

    if (flux_kvs_lookup_get_treeobj(f, &text) < 0 || lookup_update(f, &lk) < 0)
        return -1;
    if (!lk->dir &&
        !(lk->dir = flux_kvsdir_create(flux_future_get_flux(f), lk->atref, lk->key, text)))
        return -1;
    if (dir)
        *dir = lk->dir;
    return 0;
}

int flux_kvs_lookup_get_symlink(flux_future_t *f, const char **ns, const char **target)
{
    const json_t *data;
    struct lookup *lk;

    if (lookup_update(f, &lk) < 0)
        return -1;
    if (!treeobj_is_type(lk->treeobj, "symlink"))
        return fail(EINVAL);
    data = treeobj_data(lk->treeobj);
    if (ns)
        *ns = json_string_value(json_object_get(data, "namespace"));
    if (target)
        *target = json_string_value(json_object_get(data, "target"));
    return 0;
}

const char *flux_kvs_lookup_get_key(flux_future_t *f)
{
    struct lookup *lk = f ? flux_future_aux_get(f, aux_name) : NULL;

    if (!lk) {
        errno = EINVAL;
        return NULL;
    }
    return lk->key;
}

int flux_kvs_lookup_cancel(flux_future_t *f)
{
    struct lookup *lk = f ? flux_future_aux_get(f, aux_name) : NULL;
    flux_future_t *f2;

    if (!lk || !(lk->flags & (FLUX_KVS_WATCH | FLUX_KVS_WAITCREATE)))
        return fail(EINVAL);
    f2 = flux_rpc_pack(flux_future_get_flux(f), "kvs-watch.cancel", FLUX_NODEID_ANY,
                       FLUX_RPC_NORESPONSE, "{s:i}", "matchtag", (int)flux_rpc_get_matchtag(f));
    if (!f2)
        return -1;
    flux_future_destroy(f2);
    return 0;
}
