/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Queries over jobs: job-list. */
#include <errno.h>
#include <string.h>

#include <flux/job.h>

#include "base/cleanup.h"
#include "base/jsonx.h"

/* The attribute names come as text; what is wrong with it is the caller's mistake. */
static json_t *decode_attrs(const char *attrs)
{
    json_t *o;

    errno = 0;
    o = attrs ? json_loads(attrs, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (json_is_array(o))
        return o;
    json_decref(o);
    errno = jsonx_errno(EINVAL);
    return NULL;
}

flux_future_t *flux_job_list(flux_t *h, int max_entries, const char *attrs, uint32_t userid,
                             int states)
{
    CLEANUP(json_decrefp) json_t *list = NULL;

    if (!h || max_entries < 0) {
        errno = EINVAL;
        return NULL;
    }
    if (!(list = decode_attrs(attrs)))
        return NULL;
    if (userid == FLUX_USERID_UNKNOWN)
        return flux_rpc_pack(h, "job-list.list", FLUX_NODEID_ANY, 0, "{s:i s:O s:i}", "max_entries",
                             max_entries, "attrs", list, "states", states);
    return flux_rpc_pack(h, "job-list.list", FLUX_NODEID_ANY, 0, "{s:i s:O s:i s:I}", "max_entries",
                         max_entries, "attrs", list, "states", states, "userid", (int64_t)userid);
}

flux_future_t *flux_job_list_id(flux_t *h, flux_jobid_t id, const char *attrs)
{
    CLEANUP(json_decrefp) json_t *list = NULL;

    if (!h) {
        errno = EINVAL;
        return NULL;
    }
    if (!(list = decode_attrs(attrs)))
        return NULL;
    return flux_rpc_pack(h, "job-list.list-id", FLUX_NODEID_ANY, 0, "{s:I s:O}", "id", (int64_t)id,
                         "attrs", list);
}
