/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which job ids are taken: job-state.max_jobid and the names in job-active. Waited for, before
 * READY. A commit of the process before this one may still be under way: our own commit comes after
 * it, and what is read then includes it. */
#include <errno.h>
#include <string.h>

#include "base/number.h"
#include "service/jobindex.h"
#include "service/log.h"
#include "service/safemode.h"
#include "ingest.h"

DEFINE_CLEANUP(flux_future_t *, flux_future_destroy)

static int load_max(struct ingest *in, uint64_t *ret)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_kvs_lookup(in->h, KVS_PRIMARY_NAMESPACE, 0, "job-state.max_jobid");
    const char *s;

    if (!f || flux_kvs_lookup_get(f, &s) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (number_parse_u64(s, UINT64_MAX, ret) < 0) {
        log_err("job-state.max_jobid in the KVS is not a number: cannot make new job ids safely");
        return -EPROTO;
    }
    return 0;
}

struct active {
    json_t *ids;
    uint64_t max;
};

static int add_active(flux_jobid_t id, void *arg)
{
    struct active *active = arg;

    if (id > active->max)
        active->max = id;
    return json_array_append_new(active->ids, json_integer((json_int_t)id)) < 0 ? -ENOMEM : 0;
}

/* The run begins in safe mode, and job-manager has not closed the queue for it yet. */
static int close_for_safety(struct ingest *in, const json_t *setting)
{
    const char *run = flux_attr_get(in->h, SAFE_MODE_ATTR);
    const char *known = json_string_value(json_object_get(setting, SAFE_MODE_KEY));
    CLEANUP(json_decrefp) json_t *o = NULL;

    if (!run || !*run || (known && strcmp(known, run) == 0))
        return 0;
    o = json_pack("{s:b s:s}", "enable", 0, "disable_reason", SAFE_MODE_REASON);
    return o ? ingest_admission(in, o) : -ENOMEM;
}

int load_admission(struct ingest *in)
{
    CLEANUP(flux_future_destroyp)
    flux_future_t *f = flux_kvs_lookup(in->h, KVS_PRIMARY_NAMESPACE, 0, "job-state.queue");
    CLEANUP(json_decrefp) json_t *o = NULL;
    const char *s;
    int rc;

    if (!f || flux_kvs_lookup_get(f, &s) < 0)
        return errno == ENOENT ? close_for_safety(in, NULL) : -errno;
    o = s ? json_loads(s, 0, NULL) : NULL;
    rc = o ? ingest_admission(in, o) : -EPROTO;
    if (rc == -EPROTO)
        log_err("job-state.queue in the KVS is malformed, ignored");
    else if (rc < 0)
        return rc;
    return close_for_safety(in, o);
}

int load_ids(struct ingest *in, json_t **ret_ids)
{
    CLEANUP(json_decrefp) json_t *ids = json_array();
    struct active active = { .ids = ids };
    int rc = ids ? jobindex_settle(in->h, "job-state.ingest_started") : -ENOMEM;

    if (rc == 0)
        rc = load_max(in, &active.max);
    if (rc == 0)
        rc = jobindex_foreach(in->h, add_active, &active);
    if (rc == 0)
        rc = fluid_generator_init(&in->ids, 0, active.max);
    if (rc < 0) {
        log_err("cannot read the job ids in use from the KVS: %s", strerror(-rc));
        return rc;
    }
    *ret_ids = TAKE(ids);
    return 0;
}
