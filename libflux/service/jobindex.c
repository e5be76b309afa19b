/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Commits of the KVS are ordered: what is read after one of our own includes all that came before.
 */
#include "service/jobindex.h"

#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/fluid.h"
#include "base/monotime.h"
#include "service/log.h"

#define KEY "job-active"

DEFINE_CLEANUP(flux_future_t *, flux_future_destroy)
DEFINE_CLEANUP(flux_kvs_txn_t *, flux_kvs_txn_destroy)
DEFINE_CLEANUP(flux_kvsitr_t *, flux_kvsitr_destroy)

int jobindex_settle(flux_t *h, const char *key)
{
    CLEANUP(flux_kvs_txn_destroyp) flux_kvs_txn_t *txn = flux_kvs_txn_create();
    CLEANUP(flux_future_destroyp) flux_future_t *f = NULL;
    char now[32];

    (void)snprintf(now, sizeof(now), "%.6f", walltime());
    if (!txn || flux_kvs_txn_put(txn, 0, key, now) < 0)
        return -errno;
    f = flux_kvs_commit(h, KVS_PRIMARY_NAMESPACE, 0, txn);
    return f && flux_future_get(f, NULL) == 0 ? 0 : -errno;
}

int jobindex_foreach(flux_t *h, int (*fn)(flux_jobid_t id, void *arg), void *arg)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_kvs_lookup(h, KVS_PRIMARY_NAMESPACE, FLUX_KVS_READDIR, KEY);
    CLEANUP(flux_kvsitr_destroyp) flux_kvsitr_t *itr = NULL;
    const flux_kvsdir_t *dir;
    const char *name;
    int rc = 0;

    if (!f || flux_kvs_lookup_get_dir(f, &dir) < 0)
        return errno == ENOENT ? 0 : -errno;
    itr = flux_kvsitr_create(dir);
    if (!itr)
        return -errno;
    while (rc == 0 && (name = flux_kvsitr_next(itr))) {
        flux_jobid_t id;

        if (fluid_parse(name, &id) < 0)
            log_err(KEY ".%s in the KVS is not a job id, ignored", name);
        else
            rc = fn(id, arg);
    }
    return rc;
}
