/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The jobs that ended first, page by page, or those of some ids that have ended at all. With them
 * goes how many purges we know of: the job manager takes the answer only if it knows of no others.
 */
#include "job-list/oldest.h"

#define ENTRIES_MAX 1000

static int find_ids(struct store *store, const json_t *ids, json_t *places)
{
    json_t *o;
    size_t i;

    json_array_foreach ((json_t *)ids, i, o) {
        int rc = store_locate(store, (flux_jobid_t)json_integer_value(o), places);

        if (rc < 0 && rc != -ENOENT)
            return rc;
    }
    return 0;
}

static int find_page(struct store *store, const json_t *query, json_t *places)
{
    const json_int_t max = json_integer_value(json_object_get(query, "max_entries"));
    json_t *after = json_object_get(query, "after");
    struct store_place place = { 0 };
    json_int_t id = 0;

    if (max < 1 || max > ENTRIES_MAX ||
        (after && json_unpack(after, "[F, I]", &place.t_inactive, &id) < 0))
        return -EPROTO;
    place.id = (flux_jobid_t)id;
    return store_oldest(store, place, (size_t)max, places);
}

int oldest_answer(struct request *req, struct store *store, uint64_t npurged)
{
    CLEANUP(json_decrefp) json_t *places = json_array();
    const json_t *ids = json_object_get(request_json(req), "ids");
    int rc = -ENOMEM;

    if (json_array_size(ids) > ENTRIES_MAX)
        return request_explain(req, EINVAL, "ids: more than %d", ENTRIES_MAX);
    if (places)
        rc = ids ? find_ids(store, ids, places) : find_page(store, request_json(req), places);
    if (rc == -EPROTO)
        return request_explain(req, EPROTO,
                               "ids: must be integers; max_entries: from 1 to %d; after: must be "
                               "[t_inactive, id]",
                               ENTRIES_MAX);
    if (rc < 0)
        return rc;
    return request_respond_pack(req, "{s:O s:I}", "jobs", places, "npurged", (json_int_t)npurged);
}
