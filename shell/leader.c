/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Each other shell has a stream (its `hello` request, which it repeats when something between us
 * was restarted) and a number: that of the last record that was taken from it. Reports are answered
 * when what they brought has room here; since a shell has one under way, this bounds what all of
 * them together can make us hold.
 *
 * A shell that goes away may come back. The instance tells when its node is lost, by ending the
 * job; whether a node that can be reached has lost its shell we find out by asking for its service.
 * And no wait is for ever. */
#include <errno.h>
#include <string.h>

#include "base/monotime.h"
#include "leader.h"
#include "outbox.h"

#define PATIENCE       600. /* seconds for a shell to come, or to come back */
#define PATIENCE_HURRY 2.
#define CHECK          1.
#define PROBE_AFTER    5.            /* seconds, much longer than it takes a shell to come back */
#define PROBES         4             /* that find no shell where one was */
#define SEND_MAX       (1024 * 1024) /* bytes in a message, unless one record has more */

struct peer {
    uint64_t taken; /* number of its last record */
    uint64_t sent;  /* of ours on this stream */
    struct outbox out;
    const flux_msg_t *stream; /* NULL: it is not there */
    const flux_msg_t *report; /* answered when there is room */
    double away_since;
    bool was_here;
    bool finished;
    flux_future_t *probe;
    int nprobes; /* that found nothing */
};

struct leader {
    flux_t *h;
    struct leader_options o;
    struct peer *peers; /* by shell rank; that of 0 is not used */
    int nfinished;
    bool full, hurry;
    char probe_topic[64];
    flux_watcher_t *timer; /* runs while somebody is away */
    flux_msg_handler_t *mh[3];
};

static double now(void)
{
    return (double)monotime_usec() / 1e6;
}

static void forget(const flux_msg_t **msg)
{
    flux_msg_decref(*msg);
    *msg = NULL;
}

static void check_settled(struct leader *l)
{
    if (leader_settled(l))
        l->o.events.on_settled(l->o.events.arg);
}

void leader_finished(struct leader *l, int shell_rank)
{
    struct peer *p = &l->peers[shell_rank];

    if (p->finished)
        return;
    p->finished = true;
    l->nfinished++;
    outbox_ack(&p->out, UINT64_MAX);
    check_settled(l);
}

bool leader_settled(const struct leader *l)
{
    return l->nfinished == l->o.nshells - 1;
}

static void check_room(struct leader *l)
{
    if (l->full && !leader_is_full(l)) {
        l->full = false;
        l->o.events.on_room(l->o.events.arg);
    }
}

/* --- to the others */

static void flush(struct leader *l, struct peer *p)
{
    uint64_t last;
    json_t *records;

    while (p->stream && (records = outbox_peek(&p->out, p->sent, SEND_MAX, &last))) {
        const size_t n = json_array_size(records);

        if (flux_respond_pack(l->h, p->stream, "{s:I s:o}", "first", (json_int_t)(last + 1 - n),
                              "records", records) < 0)
            forget(&p->stream); /* it will say hello again */
        else
            p->sent = last;
    }
}

int leader_send(struct leader *l, const struct idset *shells, json_t *record, size_t size)
{
    int rc = 0;

    for (int i = 1; i < l->o.nshells && rc == 0; i++) {
        struct peer *p = &l->peers[i];

        if (p->finished || (shells && !idset_test(shells, (unsigned int)i)))
            continue;
        rc = outbox_push(&p->out, record, size);
        flush(l, p);
    }
    l->full = l->full || leader_is_full(l);
    return rc;
}

bool leader_is_full(const struct leader *l)
{
    for (int i = 1; i < l->o.nshells; i++)
        if (outbox_is_full(&l->peers[i].out))
            return true;
    return false;
}

/* --- from them */

static void answer(struct leader *l, const flux_msg_t *msg, int rc)
{
    if (rc < 0)
        (void)flux_respond_error(l->h, msg, -rc, NULL);
    else
        (void)flux_respond(l->h, msg, "{}");
}

/* The shell that a request is of; NULL: it was refused. */
static struct peer *sender(struct leader *l, const flux_msg_t *msg, int rank)
{
    int rc = 0;

    if (flux_msg_authorize(msg, l->o.userid) < 0)
        rc = -EPERM;
    else if (rank < 1 || rank >= l->o.nshells)
        rc = -EINVAL;
    if (rc < 0)
        answer(l, msg, rc);
    return rc < 0 ? NULL : &l->peers[rank];
}

static void seen(struct leader *l, struct peer *p, json_int_t number)
{
    if (number > 0)
        outbox_ack(&p->out, (uint64_t)number);
    check_room(l);
}

static void on_hello(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct leader *l = arg;
    struct peer *p;
    json_int_t number;
    int rank;

    if (flux_request_unpack(msg, NULL, "{s:i s:I}", "shell", &rank, "seen", &number) < 0 ||
        !flux_msg_is_streaming(msg)) {
        answer(l, msg, -EPROTO);
        return;
    }
    if (!(p = sender(l, msg, rank)))
        return;
    forget(&p->stream);
    p->stream = flux_msg_incref(msg);
    p->was_here = true;
    p->nprobes = 0;
    p->sent = number > 0 ? (uint64_t)number : 0;
    seen(l, p, number);
    /* Also says that we are there. */
    if (outbox_is_empty(&p->out))
        (void)flux_respond_pack(h, msg, "{s:I s:[]}", "first", (json_int_t)p->sent + 1, "records");
    flush(l, p);
}

/* -EPROTO: a record that nobody understands. */
static int take_records(struct leader *l, int rank, json_t *records, json_int_t first)
{
    struct peer *p = &l->peers[rank];
    json_t *record;
    size_t i;
    int rc = 0;

    if (first < 1 || (uint64_t)first > p->taken + 1)
        return -EPROTO;
    json_array_foreach (records, i, record) {
        const uint64_t number = (uint64_t)first + i;

        if (number <= p->taken || rc < 0)
            continue;
        p->taken = number;
        rc = l->o.events.on_record(l->o.events.arg, rank, record);
    }
    return rc;
}

static void on_report(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct leader *l = arg;
    struct peer *p;
    json_t *records;
    json_int_t first, number;
    int rank, rc;

    if (flux_request_unpack(msg, NULL, "{s:i s:I s:o s:I}", "shell", &rank, "first", &first,
                            "records", &records, "seen", &number) < 0) {
        answer(l, msg, -EPROTO);
        return;
    }
    if (!(p = sender(l, msg, rank)))
        return;
    forget(&p->report); /* it asks again: the answer to the one before is lost */
    seen(l, p, number);
    rc = take_records(l, rank, records, first);
    if (rc == 0 && !p->finished && !l->o.events.has_room(l->o.events.arg))
        p->report = flux_msg_incref(msg);
    else
        answer(l, msg, rc);
}

void leader_resume(struct leader *l)
{
    for (int i = 1; i < l->o.nshells && l->o.events.has_room(l->o.events.arg); i++)
        if (l->peers[i].report) {
            answer(l, l->peers[i].report, 0);
            forget(&l->peers[i].report);
        }
}

/* --- those who are away */

static void on_disconnect(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    struct leader *l = arg;

    for (int i = 1; i < l->o.nshells; i++) {
        struct peer *p = &l->peers[i];

        if (!p->stream || !flux_msg_route_match_first(p->stream, msg))
            continue;
        forget(&p->stream);
        forget(&p->report);
        p->away_since = now();
        flux_watcher_start(l->timer);
    }
}

static void lose(struct leader *l, struct peer *p)
{
    const int rank = (int)(p - l->peers);

    l->o.events.on_lost(l->o.events.arg, rank);
    leader_finished(l, rank);
}

struct probe {
    struct leader *l;
    struct peer *p;
};

/* ENOSYS is the word of the router there: nobody serves the job. All else says nothing. */
static void on_probe(flux_future_t *f, void *arg)
{
    const struct probe *probe = flux_future_aux_get(f, "probe");
    struct leader *l = probe->l;
    struct peer *p = probe->p;
    const bool gone = flux_rpc_get(f, NULL) < 0 && errno == ENOSYS;

    p->probe = NULL;
    flux_future_destroy(f);
    p->nprobes = gone ? p->nprobes + 1 : 0;
    if (p->nprobes >= PROBES && !p->stream && !p->finished)
        lose(l, p);
}

/* A shell that was here and is away: is there still one? A request that it refuses tells. */
static void send_probe(struct leader *l, struct peer *p)
{
    struct probe *probe = calloc(1, sizeof(*probe));
    const uint32_t nodeid = l->o.events.nodeid(l->o.events.arg, (int)(p - l->peers));
    flux_future_t *f = probe ? flux_rpc(l->h, l->probe_topic, "{\"signum\":0}", nodeid, 0) : NULL;

    if (!f || flux_future_aux_set(f, "probe", probe, free) < 0) {
        flux_future_destroy(f);
        free(probe);
        return;
    }
    *probe = (struct probe){ l, p };
    if (flux_future_then(f, -1., on_probe, NULL) < 0)
        flux_future_destroy(f);
    else
        p->probe = f;
}

static void on_timer(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct leader *l = arg;
    const double limit = l->hurry ? PATIENCE_HURRY : PATIENCE, t = now();
    int naway = 0;

    for (int i = 1; i < l->o.nshells; i++) {
        struct peer *p = &l->peers[i];

        if (p->stream || p->finished)
            continue;
        naway++;
        if (t - p->away_since > limit)
            lose(l, p);
        else if (p->was_here && !p->probe && t - p->away_since > PROBE_AFTER)
            send_probe(l, p);
    }
    if (naway == 0)
        flux_watcher_stop(l->timer);
}

void leader_hurry(struct leader *l)
{
    l->hurry = true;
}

static int add_handler(struct leader *l, int i, const char *method, flux_msg_handler_f cb)
{
    struct flux_match match = FLUX_MATCH_REQUEST;
    char topic[64];

    (void)snprintf(topic, sizeof(topic), "%s.%s", l->o.service, method);
    match.topic_glob = topic;
    l->mh[i] = flux_msg_handler_create(l->h, match, cb, l);
    if (!l->mh[i])
        return -errno;
    flux_msg_handler_allow_rolemask(l->mh[i], FLUX_ROLE_USER);
    flux_msg_handler_start(l->mh[i]);
    return 0;
}

int leader_new(flux_t *h, const struct leader_options *o, struct leader **ret)
{
    CLEANUP(leader_freep) struct leader *l = calloc(1, sizeof(*l));
    int rc;

    if (!l || !(l->peers = calloc((size_t)o->nshells, sizeof(*l->peers))))
        return -ENOMEM;
    l->h = h;
    l->o = *o;
    (void)snprintf(l->probe_topic, sizeof(l->probe_topic), "%s.kill", o->service);
    for (int i = 0; i < o->nshells; i++) {
        outbox_init(&l->peers[i].out, o->credit);
        l->peers[i].away_since = now();
    }
    l->timer = flux_timer_watcher_create(flux_get_reactor(h), CHECK, CHECK, on_timer, l);
    if (!l->timer)
        return -errno;
    flux_watcher_start(l->timer);
    if ((rc = add_handler(l, 0, "hello", on_hello)) < 0 ||
        (rc = add_handler(l, 1, "report", on_report)) < 0 ||
        (rc = add_handler(l, 2, "disconnect", on_disconnect)) < 0)
        return rc;
    l->o.service = NULL;
    *ret = TAKE(l);
    return 0;
}

struct leader *leader_free(struct leader *l)
{
    if (l) {
        for (size_t i = 0; i < ARRAY_SIZE(l->mh); i++)
            flux_msg_handler_destroy(l->mh[i]);
        flux_watcher_destroy(l->timer);
        for (int i = 0; l->peers && i < l->o.nshells; i++) {
            forget(&l->peers[i].stream);
            forget(&l->peers[i].report);
            flux_future_destroy(l->peers[i].probe);
            outbox_deinit(&l->peers[i].out);
        }
        free(l->peers);
        free(l);
    }
    return NULL;
}
