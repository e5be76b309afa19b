/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Transactions: a list of operations, sent as a whole by flux_kvs_commit(3).
 *
 * Refuses (EINVAL) unknown flags, empty keys, the root as a key, and objects that RFC 11 does not
 * allow, so that a mistake is reported where it was made and not by the commit.
 */
#include <errno.h>
#include <string.h>
#include "api/kvs_internal.h"
#include "api/treeobj.h"
#include "base/cleanup.h"
#include "base/jsonx.h"

struct flux_kvs_txn {
    json_t *ops;
};

flux_kvs_txn_t *flux_kvs_txn_create(void)
{
    flux_kvs_txn_t *txn = calloc(1, sizeof(*txn));

    if (!txn || !(txn->ops = json_array())) {
        free(txn);
        errno = ENOMEM;
        return NULL;
    }
    return txn;
}

void flux_kvs_txn_destroy(flux_kvs_txn_t *txn)
{
    int saved_errno = errno;

    if (txn) {
        json_decref(txn->ops);
        free(txn);
    }
    errno = saved_errno;
}

json_t *kvs_txn_ops(const flux_kvs_txn_t *txn)
{
    return txn->ops;
}

static int fail(int errnum)
{
    errno = errnum;
    return -1;
}

static bool key_ok(const char *key)
{
    return key && key[strspn(key, ".")] != '\0';
}

/* Consumes value, which may be NULL after a failure with errno set. */
static int append_op(flux_kvs_txn_t *txn, int flags, const char *key, const char *what,
                     json_t *value)
{
    json_t *op;

    if (!value)
        return -1;
    errno = 0;
    if (!(op = json_pack("{s:s s:i s:o}", "key", key, "flags", flags, what, value)))
        return fail(jsonx_errno(EINVAL)); /* the key is not UTF-8 */
    if (json_array_append_new(txn->ops, op) < 0)
        return fail(ENOMEM);
    return 0;
}

int flux_kvs_txn_put_raw(flux_kvs_txn_t *txn, int flags, const char *key, const void *data, int len)
{
    if (!txn || !key_ok(key) || len < 0 || (len > 0 && !data) || (flags & ~FLUX_KVS_APPEND))
        return fail(EINVAL);
    return append_op(txn, flags, key, "dirent", treeobj_create_val(data, (size_t)len));
}

int flux_kvs_txn_put(flux_kvs_txn_t *txn, int flags, const char *key, const char *value)
{
    return flux_kvs_txn_put_raw(txn, flags, key, value, value ? (int)strlen(value) : 0);
}

int flux_kvs_txn_vpack(flux_kvs_txn_t *txn, int flags, const char *key, const char *fmt, va_list ap)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    CLEANUP(freep) char *text = NULL;

    errno = 0;
    if (!fmt || !(o = json_vpack_ex(NULL, 0, fmt, ap)))
        return fail(jsonx_errno(EINVAL));
    if (!(text = json_dumps(o, JSON_COMPACT | JSON_ENCODE_ANY)))
        return fail(ENOMEM);
    return flux_kvs_txn_put(txn, flags, key, text);
}

int flux_kvs_txn_pack(flux_kvs_txn_t *txn, int flags, const char *key, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = flux_kvs_txn_vpack(txn, flags, key, fmt, ap);
    va_end(ap);
    return rc;
}

int flux_kvs_txn_mkdir(flux_kvs_txn_t *txn, int flags, const char *key)
{
    if (!txn || !key_ok(key) || flags)
        return fail(EINVAL);
    return append_op(txn, flags, key, "dirent", treeobj_create_dir());
}

int flux_kvs_txn_unlink(flux_kvs_txn_t *txn, int flags, const char *key)
{
    if (!txn || !key_ok(key) || flags)
        return fail(EINVAL);
    return append_op(txn, flags, key, "dirent", json_null());
}

int flux_kvs_txn_symlink(flux_kvs_txn_t *txn, int flags, const char *key, const char *ns,
                         const char *target)
{
    if (!txn || !key_ok(key) || flags)
        return fail(EINVAL);
    return append_op(txn, flags, key, "dirent", treeobj_create_symlink(ns, target));
}

int flux_kvs_txn_put_treeobj(flux_kvs_txn_t *txn, int flags, const char *key, const char *treeobj)
{
    json_t *o;

    /* The root itself may be replaced by a directory: how a dump is restored. */
    if (!txn || !key || !*key || flags || !treeobj)
        return fail(EINVAL);
    if (!(o = treeobj_decode(treeobj, strlen(treeobj))))
        return -1;
    return append_op(txn, flags, key, "dirent", o);
}

int flux_kvs_txn_prune(flux_kvs_txn_t *txn, int flags, const char *key)
{
    if (!txn || !key_ok(key) || flags)
        return fail(EINVAL);
    return append_op(txn, flags, key, "prune", json_true());
}

int flux_kvs_txn_archive(flux_kvs_txn_t *txn, int flags, const char *key, const char *ns)
{
    json_t *name;

    if (!txn || !key_ok(key) || flags || !ns || !*ns)
        return fail(EINVAL);
    errno = 0;
    if (!(name = json_string(ns)))
        return fail(jsonx_errno(EINVAL));
    return append_op(txn, flags, key, "archive", name);
}

int flux_kvs_txn_archive_job(flux_kvs_txn_t *txn, int flags, const char *key, const char *ns,
                             const char *log)
{
    json_t *op;

    if (!txn || !key_ok(key) || flags || !ns || !*ns || !log)
        return fail(EINVAL);
    errno = 0;
    if (!(op = json_pack("{s:s s:i s:s s:s}", "key", key, "flags", flags, "archive", ns, "log",
                         log)))
        return fail(jsonx_errno(EINVAL));
    return json_array_append_new(txn->ops, op) < 0 ? fail(ENOMEM) : 0;
}

int flux_kvs_txn_namespace(flux_kvs_txn_t *txn, int flags, const char *key, const char *ns,
                           uint32_t owner)
{
    json_t *op;

    if (!txn || !key_ok(key) || flags || !ns || !*ns)
        return fail(EINVAL);
    errno = 0;
    if (!(op = json_pack("{s:s s:i s:s s:I}", "key", key, "flags", flags, "create", ns, "owner",
                         (json_int_t)owner)))
        return fail(jsonx_errno(EINVAL)); /* the key or the name is not UTF-8 */
    return json_array_append_new(txn->ops, op) < 0 ? fail(ENOMEM) : 0;
}
