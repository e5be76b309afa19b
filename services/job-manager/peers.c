/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Scheduler and execution service: requests with matchtag 0 and their answers (RFC 27, RFC 32), and
 * waking them. A ping makes the router connect to a service's socket, which starts it; it is
 * repeated, less and less often, until the service has said its hello. An error response means that
 * the service is gone with all it was asked. */
#include <errno.h>
#include <string.h>

#include "base/jsonx.h"
#include "service/log.h"
#include "daemon.h"

#define WAKE_FIRST   0.2
#define WAKE_MAX     10.
#define LIST_LAG_MAX 5000 /* inactive jobs that job-list was not told of; the ring has 10,000 */

int peers_send(void *arg, const char *topic, const char *json, bool noresponse)
{
    struct daemon *d = arg;
    flux_msg_t *msg = flux_request_encode(topic, json);
    int rc = 0;

    if (!msg || (noresponse && flux_msg_set_noresponse(msg) < 0) || flux_send(d->h, msg, 0) < 0)
        rc = -errno;
    flux_msg_destroy(msg);
    return rc;
}

static bool peer_is_there(const struct daemon *d, enum daemon_peer peer)
{
    switch (peer) {
    case WAKE_SCHED:
        return d->m.alloc.ready != NULL;
    case WAKE_EXEC:
        return d->m.start.hello != NULL;
    default:
        return !TAILQ_EMPTY(&d->m.journal.listeners);
    }
}

static void waker_arm(struct waker *w, double delay)
{
    w->delay = delay;
    flux_timer_watcher_reset(w->timer, delay, 0.);
    flux_watcher_start(w->timer);
}

static void on_wake(flux_reactor_t *r, flux_watcher_t *timer, int revents, void *arg)
{
    struct waker *w = arg;
    double next = w->delay > 0. ? w->delay * 2. : WAKE_FIRST;

    flux_watcher_stop(timer);
    if (peer_is_there(w->d, (enum daemon_peer)(w - w->d->wakers)))
        return;
    (void)peers_send(w->d, w->topic, "{}", true);
    waker_arm(w, next < WAKE_MAX ? next : WAKE_MAX);
}

void peers_wake(void *arg, enum manager_peer peer)
{
    struct daemon *d = arg;

    waker_arm(&d->wakers[peer == PEER_SCHED ? WAKE_SCHED : WAKE_EXEC], WAKE_FIRST);
}

void peers_check(struct daemon *d)
{
    struct waker *w = &d->wakers[WAKE_LIST];

    if (peer_is_there(d, WAKE_LIST))
        d->list_seen = d->m.ninactive;
    else if (d->m.ninactive - d->list_seen > LIST_LAG_MAX && !flux_watcher_is_active(w->timer))
        waker_arm(w, 0.);
}

static void on_answer(struct daemon *d, const flux_msg_t *msg, const char *who,
                      void (*lost)(struct manager *m),
                      int (*take)(struct manager *m, json_t *response))
{
    CLEANUP(json_decrefp) json_t *o = NULL;
    flux_error_t error = { .text = "" };
    const char *s;
    int rc = -EPROTO;

    if (flux_response_decode(msg, NULL, &s) < 0) {
        log_notice("%s: %s", who, strerror(errno));
        lost(&d->m);
        return;
    }
    o = s ? jsonx_decode_object(s, strlen(s), &error) : NULL;
    if (o)
        rc = take(&d->m, o);
    if (rc == -ENOMEM)
        manager_fatal(&d->m, ENOMEM, "cannot take an answer");
    else if (rc < 0)
        log_err("%s sent an answer that makes no sense: %s", who,
                error.text[0] ? error.text : strerror(-rc));
}

static void on_alloc(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    on_answer(arg, msg, "scheduler", alloc_lost, alloc_response);
}

static void on_start(flux_t *h, flux_msg_handler_t *mh, const flux_msg_t *msg, void *arg)
{
    on_answer(arg, msg, "execution service", start_lost, start_response);
}

static int handler_open(struct daemon *d, const char *glob, flux_msg_handler_f cb,
                        flux_msg_handler_t **ret)
{
    struct flux_match match = { FLUX_MSGTYPE_RESPONSE, FLUX_MATCHTAG_NONE, glob };

    *ret = flux_msg_handler_create(d->h, match, cb, d);
    if (!*ret)
        return -errno;
    flux_msg_handler_start(*ret);
    return 0;
}

int peers_open(struct daemon *d)
{
    static const char *const topics[WAKE_COUNT] = {
        [WAKE_SCHED] = "sched.ping",
        [WAKE_EXEC] = "job-exec.ping",
        [WAKE_LIST] = "job-list.ping",
    };
    int rc = handler_open(d, "sched.alloc*", on_alloc, &d->on_alloc);

    if (rc == 0)
        rc = handler_open(d, "*.start", on_start, &d->on_start);
    for (int i = 0; i < WAKE_COUNT && rc == 0; i++) {
        struct waker *w = &d->wakers[i];

        w->d = d;
        w->topic = topics[i];
        w->timer = flux_timer_watcher_create(service_reactor(d->svc), 0., 0., on_wake, w);
        if (!w->timer)
            rc = -errno;
    }
    if (rc == 0) {
        waker_arm(&d->wakers[WAKE_SCHED], 0.);
        waker_arm(&d->wakers[WAKE_EXEC], 0.);
    }
    return rc;
}

void peers_close(struct daemon *d)
{
    for (int i = 0; i < WAKE_COUNT; i++)
        flux_watcher_destroy(d->wakers[i].timer);
    flux_msg_handler_destroy(d->on_start);
    flux_msg_handler_destroy(d->on_alloc);
}
