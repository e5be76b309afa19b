/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A job may depend on active jobs only (after:JOBID and the like): the job manager is asked whether
 * they are, before the job exists. If it does not answer, the job is taken, and the manager raises
 * an exception on it if need be. */
#include <errno.h>
#include <string.h>

#include "ingest.h"

#define TIMEOUT_SECONDS 5.

struct depend_check {
    struct ingest *in;
    struct submission *s;
    flux_future_t *f;
    LIST_ENTRY(depend_check) link;
};

static struct submission *check_free(struct depend_check *c)
{
    struct submission *s = c->s;

    LIST_REMOVE(c, link);
    flux_future_destroy(c->f);
    free(c);
    return s;
}

static bool is_active(const json_t *active, flux_jobid_t id)
{
    json_t *o;
    size_t i;

    json_array_foreach ((json_t *)active, i, o)
        if ((flux_jobid_t)json_integer_value(o) == id)
            return true;
    return false;
}

static void on_answer(flux_future_t *f, void *arg)
{
    struct depend_check *c = arg;
    struct ingest *in = c->in;
    char why[128] = "", f58[32] = "";
    json_t *active, *o;
    size_t i;

    if (flux_rpc_get_unpack(f, "{s:o}", "ids", &active) == 0)
        json_array_foreach (c->s->after, i, o) {
            const flux_jobid_t id = (flux_jobid_t)json_integer_value(o);

            if (why[0] || is_active(active, id))
                continue;
            (void)fluid_encode(f58, sizeof(f58), id, FLUID_F58_PLAIN);
            (void)snprintf(why, sizeof(why),
                           "dependency: job %s cannot be found: it is unknown, or has ended", f58);
        }
    if (why[0]) {
        in->nrefused++;
        ingest_refuse(in, check_free(c), EINVAL, why);
    } else
        ingest_take(in, check_free(c));
}

int depend_check(struct ingest *in, struct submission *s)
{
    struct depend_check *c = calloc(1, sizeof(*c));

    if (!c)
        return -ENOMEM;
    c->in = in;
    c->f = flux_rpc_pack(in->h, "job-manager.active", FLUX_NODEID_ANY, 0, "{s:O}", "ids", s->after);
    if (!c->f || flux_future_then(c->f, TIMEOUT_SECONDS, on_answer, c) < 0) {
        flux_future_destroy(c->f);
        free(c);
        return -ENOMEM;
    }
    c->s = s;
    LIST_INSERT_HEAD(&in->depend_checks, c, link);
    return 0;
}

void depend_close(struct ingest *in)
{
    struct depend_check *c;

    while ((c = LIST_FIRST(&in->depend_checks))) {
        struct submission *s = check_free(c);

        s->req = request_unref(s->req);
        submission_free(s);
    }
}
