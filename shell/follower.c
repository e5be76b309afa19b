/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Two requests are open while there is something to say: `hello`, a stream of records from the
 * leader, and one `report` with records for it, whose answer acknowledges them. A report also says
 * up to which number the leader's records were taken. What fails is repeated, with growing delays;
 * numbers make that harmless.
 *
 * Who decides that a node is lost is the instance: it ends the job then. So we are patient with a
 * leader that cannot be reached, less so with one that has left its service. */
#include <errno.h>
#include <string.h>

#include "base/monotime.h"
#include "follower.h"
#include "outbox.h"

#define RETRY_MIN      0.002 /* seconds */
#define RETRY_MAX      0.5
#define PATIENCE       600. /* with a leader that is not there yet, or cannot be reached */
#define PATIENCE_GONE  30.  /* with one that was there and whose service is not */
#define PATIENCE_HURRY 2.
#define REPORT_MAX     (256 * 1024) /* bytes */

struct follower {
    flux_t *h;
    struct follower_options o;
    char hello_topic[64], report_topic[64];
    struct outbox out;
    uint64_t in_flight;  /* number of the last record in the report */
    uint64_t seen, said; /* number of the leader's last record, and what we reported of it */
    flux_future_t *f_hello, *f_report;
    flux_watcher_t *retry;
    double delay;
    double away_since; /* 0: it answers */
    bool contact;      /* it has answered once */
    bool full, held, hurry, over;
    void (*finish)(void *arg);
    void *finish_arg;
};

static void proceed(struct follower *f);

static double now(void)
{
    return (double)monotime_usec() / 1e6;
}

static void lose(struct follower *f, const char *why)
{
    f->over = true;
    flux_watcher_stop(f->retry);
    f->o.events.on_lost(f->o.events.arg, why);
}

static double patience(const struct follower *f, int errnum)
{
    if (f->hurry)
        return PATIENCE_HURRY;
    return errnum == ENOSYS && f->contact ? PATIENCE_GONE : PATIENCE;
}

/* A leader that has left while we waited for its last word has got everything before. */
static bool has_left(const struct follower *f, int errnum)
{
    return errnum == ENOSYS && f->contact && f->finish && f->in_flight == f->out.last;
}

static void done(struct follower *f)
{
    void (*cb)(void *) = f->finish;

    f->finish = NULL;
    f->over = true;
    flux_watcher_stop(f->retry);
    cb(f->finish_arg);
}

static void failed(struct follower *f, int errnum, const char *why)
{
    const double t = now();

    if (f->over)
        return;
    if (f->away_since == 0)
        f->away_since = t;
    if (has_left(f, errnum)) {
        done(f);
    } else if (errnum == EPERM || errnum == EPROTO || errnum == EINVAL ||
               t - f->away_since > patience(f, errnum)) {
        lose(f, why);
    } else if (!flux_watcher_is_active(f->retry)) {
        flux_timer_watcher_reset(f->retry, f->delay, 0.);
        flux_watcher_start(f->retry);
        f->delay = f->delay * 2 < RETRY_MAX ? f->delay * 2 : RETRY_MAX;
    }
}

static void succeeded(struct follower *f)
{
    f->contact = true;
    f->away_since = 0;
    f->delay = RETRY_MIN;
}

/* --- from the leader */

static int take_records(struct follower *f, json_t *records, uint64_t first)
{
    json_t *record;
    size_t i;

    if (first > f->seen + 1)
        return -EPROTO; /* one is missing */
    json_array_foreach (records, i, record) {
        if (first + i <= f->seen)
            continue;
        f->seen = first + i;
        if (!f->o.events.on_record(f->o.events.arg, record))
            f->held = true;
        if (f->over)
            break;
    }
    return 0;
}

static void on_hello(flux_future_t *fut, void *arg)
{
    struct follower *f = arg;
    json_t *records;
    json_int_t first;
    int rc = 0;

    if (flux_rpc_get_unpack(fut, "{s:I s:o}", "first", &first, "records", &records) < 0)
        rc = -errno;
    else
        succeeded(f);
    if (rc == 0)
        rc = take_records(f, records, (uint64_t)first);
    if (rc == 0) {
        flux_future_reset(fut);
        proceed(f);
        return;
    }
    f->f_hello = NULL;
    failed(f, -rc, flux_future_error_string(fut));
    flux_future_destroy(fut);
}

static void hello(struct follower *f)
{
    f->f_hello = flux_rpc_pack(f->h, f->hello_topic, f->o.nodeid, FLUX_RPC_STREAMING, "{s:i s:I}",
                               "shell", f->o.shell_rank, "seen", (json_int_t)f->seen);
    if (f->f_hello && flux_future_then(f->f_hello, -1., on_hello, f) == 0)
        return;
    flux_future_destroy(f->f_hello);
    f->f_hello = NULL;
    failed(f, errno, strerror(errno));
}

/* --- to the leader */

static void acknowledged(struct follower *f)
{
    succeeded(f);
    outbox_ack(&f->out, f->in_flight);
    if (f->full && f->out.bytes < f->out.limit / 2) {
        f->full = false;
        f->o.events.on_room(f->o.events.arg);
    }
    if (f->finish && outbox_is_empty(&f->out))
        done(f);
}

static void on_report(flux_future_t *fut, void *arg)
{
    struct follower *f = arg;
    const int errnum = flux_rpc_get(fut, NULL) < 0 ? errno : 0;

    f->f_report = NULL;
    if (errnum == 0)
        acknowledged(f);
    else
        failed(f, errnum, flux_future_error_string(fut));
    flux_future_destroy(fut);
    proceed(f);
}

static void report(struct follower *f)
{
    uint64_t last = f->out.last;
    CLEANUP(json_decrefp) json_t *records = outbox_peek(&f->out, 0, REPORT_MAX, &last);
    const size_t n = json_array_size(records);

    if (!records && !(records = json_array())) {
        failed(f, ENOMEM, strerror(ENOMEM));
        return;
    }
    f->f_report = flux_rpc_pack(f->h, f->report_topic, f->o.nodeid, 0, "{s:i s:I s:O s:I}", "shell",
                                f->o.shell_rank, "first", (json_int_t)(last + 1 - n), "records",
                                records, "seen", (json_int_t)f->seen);
    if (f->f_report && flux_future_then(f->f_report, -1., on_report, f) == 0) {
        f->in_flight = last;
        f->said = f->seen;
        return;
    }
    flux_future_destroy(f->f_report);
    f->f_report = NULL;
    failed(f, errno, strerror(errno));
}

static void proceed(struct follower *f)
{
    if (f->over || flux_watcher_is_active(f->retry))
        return;
    if (!f->f_hello)
        hello(f);
    if (!f->f_report && !f->over && (!outbox_is_empty(&f->out) || (!f->held && f->said < f->seen)))
        report(f);
}

static void on_retry(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    proceed(arg);
}

int follower_send(struct follower *f, json_t *record, size_t size)
{
    const int rc = outbox_push(&f->out, record, size);

    if (outbox_is_full(&f->out))
        f->full = true;
    proceed(f);
    return rc;
}

bool follower_is_full(const struct follower *f)
{
    return outbox_is_full(&f->out);
}

void follower_resume(struct follower *f)
{
    f->held = false;
    proceed(f);
}

void follower_hurry(struct follower *f)
{
    f->hurry = true;
}

void follower_finish(struct follower *f, void (*cb)(void *arg), void *arg)
{
    f->finish = cb;
    f->finish_arg = arg;
    if (f->over || outbox_is_empty(&f->out))
        done(f);
}

int follower_new(flux_t *h, const struct follower_options *o, struct follower **ret)
{
    CLEANUP(follower_freep) struct follower *f = calloc(1, sizeof(*f));

    if (!f)
        return -ENOMEM;
    f->h = h;
    f->o = *o;
    f->o.service = NULL;
    f->delay = RETRY_MIN;
    (void)snprintf(f->hello_topic, sizeof(f->hello_topic), "%s.hello", o->service);
    (void)snprintf(f->report_topic, sizeof(f->report_topic), "%s.report", o->service);
    outbox_init(&f->out, o->credit);
    f->retry = flux_timer_watcher_create(flux_get_reactor(h), RETRY_MIN, 0., on_retry, f);
    if (!f->retry)
        return -errno;
    proceed(f);
    *ret = TAKE(f);
    return 0;
}

struct follower *follower_free(struct follower *f)
{
    if (f) {
        flux_watcher_destroy(f->retry);
        flux_future_destroy(f->f_report);
        flux_future_destroy(f->f_hello);
        outbox_deinit(&f->out);
        free(f);
    }
    return NULL;
}
