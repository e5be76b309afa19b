/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A page of the oldest jobs at a time: look up each one's directory in the KVS, remove what is not
 * there, go on with the next page when the last answer is in. */
#include <string.h>

#include "job-list/sweep.h"

#define PAGE 64

struct sweep {
    flux_t *h;
    struct store *store;
    sweep_done_f done;
    void *arg;
    struct store_place place; /* all before it were looked at */
    uint64_t nmissing, nfound;
    bool active;
    int rc;
    size_t nwaiting;
    struct look {
        struct sweep *sw;
        flux_jobid_t id;
        flux_future_t *f;
    } looks[PAGE];
};

int sweep_new(flux_t *h, struct store *store, sweep_done_f done, void *arg, struct sweep **ret)
{
    struct sweep *sw = calloc(1, sizeof(*sw));

    if (!sw)
        return -ENOMEM;
    sw->h = h;
    sw->store = store;
    sw->done = done;
    sw->arg = arg;
    *ret = sw;
    return 0;
}

static void drop_looks(struct sweep *sw)
{
    for (size_t i = 0; i < PAGE; i++) {
        flux_future_destroy(sw->looks[i].f);
        sw->looks[i].f = NULL;
    }
    sw->nwaiting = 0;
}

struct sweep *sweep_free(struct sweep *sw)
{
    if (!sw)
        return NULL;
    drop_looks(sw);
    free(sw);
    return NULL;
}

bool sweep_active(const struct sweep *sw)
{
    return sw->active;
}

static void finish(struct sweep *sw, int rc)
{
    drop_looks(sw);
    sw->active = false;
    sw->done(sw->nfound, rc, sw->arg);
}

static void next_page(struct sweep *sw);

static void on_look(flux_future_t *f, void *arg)
{
    struct look *look = arg;
    struct sweep *sw = look->sw;
    const char *treeobj;

    if (flux_kvs_lookup_get_treeobj(f, &treeobj) < 0) {
        if (errno != ENOENT)
            sw->rc = -errno;
        else if ((sw->rc = store_remove(sw->store, look->id)) == 0)
            sw->nfound++;
    }
    if (--sw->nwaiting == 0 || sw->rc < 0)
        next_page(sw);
}

static int send_look(struct sweep *sw, struct look *look)
{
    char key[64];

    look->sw = sw;
    if (flux_job_kvs_key(key, sizeof(key), look->id, NULL) < 0)
        return -errno;
    look->f = flux_kvs_lookup(sw->h, KVS_PRIMARY_NAMESPACE, FLUX_KVS_TREEOBJ, key);
    if (!look->f || flux_future_then(look->f, -1., on_look, look) < 0)
        return -errno;
    sw->nwaiting++;
    return 0;
}

/* Number of look-ups sent, or -errno. */
static int send_page(struct sweep *sw)
{
    CLEANUP(json_decrefp) json_t *places = json_array();
    json_t *row;
    size_t i;
    int rc = places ? store_oldest(sw->store, sw->place, PAGE, places) : -ENOMEM;

    if (rc < 0)
        return rc;
    json_array_foreach (places, i, row) {
        sw->place.id = (flux_jobid_t)json_integer_value(json_array_get(row, 0));
        sw->place.t_inactive = json_real_value(json_array_get(row, 1));
        sw->looks[i].id = sw->place.id;
        if ((rc = send_look(sw, &sw->looks[i])) < 0)
            return rc;
    }
    return (int)json_array_size(places);
}

static void next_page(struct sweep *sw)
{
    int rc = sw->rc;

    drop_looks(sw);
    if (rc == 0 && sw->nfound < sw->nmissing)
        rc = send_page(sw);
    if (rc <= 0)
        finish(sw, rc);
}

int sweep_start(struct sweep *sw, uint64_t nmissing)
{
    if (sw->active)
        return -EBUSY;
    sw->active = true;
    sw->place = (struct store_place){ 0 };
    sw->nmissing = nmissing;
    sw->nfound = 0;
    sw->rc = 0;
    next_page(sw);
    return 0;
}
