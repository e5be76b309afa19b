/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Telling the job manager of stored jobs. They are durable, so this is repeated until it worked;
 * the job manager ignores what it knows. Clients are answered when it knows, or after a few seconds
 * without it, or when we end: it is told again when the next of us starts, and reads the active
 * jobs from the KVS when it starts itself. */
#include <errno.h>
#include <string.h>

#include "base/monotime.h"
#include "service/log.h"
#include "ingest.h"

#define RETRY_FIRST   0.05
#define RETRY_MAX     1.
#define PATIENCE_USEC 5000000u

struct announcement {
    struct ingest *in;
    const char *topic;
    char *payload;
    struct batch batch; /* to be answered */
    flux_future_t *f;
    flux_watcher_t *timer;
    double delay;
    uint64_t since_usec;
    LIST_ENTRY(announcement) link;
};

static void answer_all(struct announcement *a)
{
    struct submission *s;

    while ((s = batch_pop(&a->batch)))
        ingest_answer(a->in, s);
}

void announce_answer(struct ingest *in)
{
    struct announcement *a;

    LIST_FOREACH(a, &in->announcements, link)
    answer_all(a);
}

static void announcement_free(struct announcement *a)
{
    answer_all(a);
    LIST_REMOVE(a, link);
    flux_watcher_destroy(a->timer);
    flux_future_destroy(a->f);
    free(a->payload);
    free(a);
}

static bool is_transient(int errnum)
{
    return errnum == ECONNRESET || errnum == ENOSYS || errnum == EAGAIN || errnum == EHOSTUNREACH ||
           errnum == ECANCELED || errnum == ENOMEM || errnum == EIO;
}

static void retry_later(struct announcement *a)
{
    if (monotime_usec() - a->since_usec > PATIENCE_USEC)
        answer_all(a);
    a->delay = a->delay == 0. ? RETRY_FIRST : a->delay * 2.;
    if (a->delay > RETRY_MAX)
        a->delay = RETRY_MAX;
    flux_timer_watcher_reset(a->timer, a->delay, 0.);
    flux_watcher_start(a->timer);
}

static void on_told(flux_future_t *f, void *arg)
{
    struct announcement *a = arg;
    int errnum = flux_future_get(f, NULL) < 0 ? errno : 0;

    if (errnum != 0 && is_transient(errnum)) {
        flux_future_destroy(f);
        a->f = NULL;
        retry_later(a);
        return;
    }
    if (errnum != 0)
        log_err("job manager refused %s: %s; it will read these jobs when it starts again",
                a->topic, flux_future_error_string(f));
    announcement_free(a);
}

static void tell(struct announcement *a)
{
    a->f = flux_rpc(a->in->h, a->topic, a->payload, FLUX_NODEID_ANY, 0);
    if (!a->f || flux_future_then(a->f, -1., on_told, a) < 0) {
        flux_future_destroy(a->f);
        a->f = NULL;
        retry_later(a);
    }
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    flux_watcher_stop(w);
    tell(arg);
}

/* Takes payload. */
static int announcement_new(struct ingest *in, const char *topic, char *payload,
                            struct announcement **ret)
{
    struct announcement *a = calloc(1, sizeof(*a));
    flux_watcher_t *timer =
        flux_timer_watcher_create(service_reactor(in->svc), RETRY_FIRST, 0., on_retry, a);

    if (!a || !payload || !timer) {
        flux_watcher_destroy(timer);
        free(payload);
        free(a);
        return -ENOMEM;
    }
    a->in = in;
    a->topic = topic;
    a->payload = payload;
    a->timer = timer;
    a->since_usec = monotime_usec();
    batch_init(&a->batch);
    LIST_INSERT_HEAD(&in->announcements, a, link);
    *ret = a;
    return 0;
}

int announce(struct ingest *in, struct batch *b)
{
    struct announcement *a;
    int rc = announcement_new(in, "job-manager.submit", batch_announcement(b), &a);

    if (rc < 0)
        return rc;
    while (b->n > 0)
        batch_add(&a->batch, batch_pop(b));
    tell(a);
    return 0;
}

int announce_active(struct ingest *in, const json_t *ids)
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    struct announcement *a;
    int rc;

    if (json_array_size(ids) == 0)
        return 0;
    o = json_pack("{s:O}", "ids", ids);
    rc = announcement_new(in, "job-manager.rescan", o ? json_dumps(o, JSON_COMPACT) : NULL, &a);
    if (rc == 0)
        tell(a);
    return rc;
}

void announce_close(struct ingest *in)
{
    struct announcement *a;

    while ((a = LIST_FIRST(&in->announcements)))
        announcement_free(a);
}
