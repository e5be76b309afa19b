/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RFC 32 responses, in batches. Responses to start requests carry the job's id and matchtag 0, so
 * any start request of the same job manager can carry those of all jobs: the newest is kept for
 * that. Nothing waits for `start`, so it waits for company, START_SECONDS at most. There is one job
 * manager: another client that asks for a start while it is connected is refused, and does not get
 * its answers. */
#include <string.h>

#include "answers.h"
#include "base/jsonx.h"
#include "service/log.h"

#define BATCH_MAX     1000 /* answers in one message */
#define START_SECONDS 0.001

struct answers {
    flux_watcher_t *flush; /* prepare: runs once before the loop sleeps, while there is something */
    flux_watcher_t *late;  /* timer: starts flush */
    struct request *carrier;
    json_t *queue; /* array */
};

static void send_batch(struct answers *a, json_t *batch)
{
    int rc;

    if (!a->carrier || request_gone(a->carrier))
        return;
    if (json_array_size(batch) == 1)
        rc = request_respond_json(a->carrier, json_array_get(batch, 0));
    else
        rc = request_respond_pack(a->carrier, "{s:O}", "responses", batch);
    if (rc < 0)
        log_err("cannot answer the job manager: %s", strerror(-rc));
}

static void on_flush(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct answers *a = arg;

    flux_watcher_stop(w);
    flux_watcher_stop(a->late);
    while (json_array_size(a->queue) > 0) {
        CLEANUP(json_decrefp) json_t *batch = json_array();
        json_t *entry;
        size_t i;

        json_array_foreach (a->queue, i, entry) {
            if (i == BATCH_MAX || json_array_append(batch, entry) < 0)
                break;
        }
        if (i == 0)
            break; /* out of memory: the next answer tries again */
        send_batch(a, batch);
        for (size_t n = i; n > 0; n--)
            (void)json_array_remove(a->queue, n - 1);
    }
}

static void on_late(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct answers *a = arg;

    flux_watcher_start(a->flush);
}

int answers_new(flux_reactor_t *r, struct answers **ret)
{
    CLEANUP(answers_freep) struct answers *a = calloc(1, sizeof(*a));

    if (!a || !(a->queue = json_array()) ||
        !(a->flush = flux_prepare_watcher_create(r, on_flush, a)) ||
        !(a->late = flux_timer_watcher_create(r, START_SECONDS, 0., on_late, a)))
        return -ENOMEM;
    *ret = TAKE(a);
    return 0;
}

struct answers *answers_free(struct answers *a)
{
    if (a) {
        flux_watcher_destroy(a->late);
        flux_watcher_destroy(a->flush);
        request_unref(a->carrier);
        json_decref(a->queue);
        free(a);
    }
    return NULL;
}

int answers_set_carrier(struct answers *a, struct request *req)
{
    struct request *old = a->carrier;

    if (old && !request_same_client(old, req)) {
        if (!request_gone(old))
            return -EBUSY;
        /* Another life of the job manager: what was meant for the old one it will ask. */
        (void)json_array_clear(a->queue);
    }
    a->carrier = request_ref(req);
    request_unref(old);
    return 0;
}

/* Steals data. */
static void push(struct answers *a, flux_jobid_t id, const char *type, json_t *data)
{
    json_t *o = json_pack("{s:I s:s s:o}", "id", (json_int_t)id, "type", type, "data", data);

    if (!o || json_array_append_new(a->queue, o) < 0) {
        log_err("job %" PRIu64 ": out of memory while answering the job manager", id);
        return;
    }
    if (strcmp(type, "start") != 0)
        flux_watcher_start(a->flush);
    else if (!flux_watcher_is_active(a->late)) {
        flux_timer_watcher_reset(a->late, START_SECONDS, 0.);
        flux_watcher_start(a->late);
    }
}

void answers_start(struct answers *a, flux_jobid_t id)
{
    push(a, id, "start", json_object());
}

void answers_finish(struct answers *a, flux_jobid_t id, int status, bool archive)
{
    push(a, id, "finish",
         archive ? json_pack("{s:i s:b}", "status", status, "archive", 1)
                 : json_pack("{s:i}", "status", status));
}

void answers_release(struct answers *a, flux_jobid_t id, const char *ranks)
{
    push(a, id, "release", json_pack("{s:s s:b}", "ranks", ranks, "final", 1));
}

void answers_exception(struct answers *a, flux_jobid_t id, const char *type, const char *note)
{
    push(a, id, "exception", json_pack("{s:i s:s s:s}", "severity", 0, "type", type, "note", note));
}
