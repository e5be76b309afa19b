/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* States follow one another from an idle watcher: what ends a state may be a callback of the very
 * thing that the end of the state frees. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include <flux/job.h>

#include "broker/handover.h"
#include "broker/manager.h"
#include "service/log.h"
#include "service/state.h"

#define FINALIZE_SECONDS 5.
#define MUTE_SECONDS     1. /* if others did not answer either */
#define ANSWER_SECONDS   5. /* of job-manager, which may be about to start */

struct shutdown_waiter {
    TAILQ_ENTRY(shutdown_waiter) entry;
    struct shutdown *shutdown;
    struct request *req;
    bool hold;
};

/* --- who wants to know */

static void waiter_free(struct shutdown_waiter *w)
{
    TAILQ_REMOVE(&w->shutdown->waiters, w, entry);
    request_on_gone(w->req, NULL, NULL);
    request_unref(w->req);
    free(w);
}

static bool is_held(const struct shutdown *s)
{
    const struct shutdown_waiter *w;

    TAILQ_FOREACH (w, &s->waiters, entry)
        if (w->hold)
            return true;
    return false;
}

static void tell(const struct shutdown *s, int level, const char *text)
{
    struct shutdown_waiter *w, *tmp;

    TAILQ_FOREACH_SAFE (w, &s->waiters, entry, tmp)
        (void)request_respond_pack(w->req, "{s:s s:i s:s}", "state", state_name(s->m->state.now),
                                   "level", level, "text", text);
}

static void say(const struct shutdown *s, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void say(const struct shutdown *s, int level, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_fields(level, NULL, "%s", text);
    tell(s, level, text);
}

/* --- states */

static void go_on(struct shutdown *s)
{
    flux_watcher_start(s->next);
}

static void limit_in(struct shutdown *s, double seconds)
{
    flux_watcher_stop(s->limit);
    if (seconds <= 0)
        return;
    flux_reactor_now_update(service_reactor(s->m->svc));
    flux_timer_watcher_reset(s->limit, seconds, 0.);
    flux_watcher_start(s->limit);
}

/* Jobs. */

static void name_jobs(struct shutdown *s, json_t *ids, size_t running)
{
    size_t used = 0, i;
    json_t *id;

    s->busy[0] = '\0';
    json_array_foreach (ids, i, id) {
        char text[32];

        if (flux_job_id_encode((flux_jobid_t)json_integer_value(id), "f58", text, sizeof(text)) <
                0 ||
            used + strlen(text) + 8 > sizeof(s->busy))
            break;
        used += (size_t)snprintf(s->busy + used, sizeof(s->busy) - used, "%s%s", i > 0 ? ", " : "",
                                 text);
    }
    if (running > i)
        (void)snprintf(s->busy + used, sizeof(s->busy) - used, ", ...");
}

static int cancel_jobs(struct shutdown *s);

static void on_jobs(flux_future_t *f, void *arg)
{
    struct shutdown *s = arg;
    json_int_t running = 0;
    json_t *ids = NULL;
    int idle = 0;

    if (flux_rpc_get_unpack(f, "{s:I s:o s:b}", "running", &running, "ids", &ids, "idle", &idle) <
        0) {
        const bool again = errno == ECONNRESET || errno == EHOSTUNREACH;

        if (errno != ENOSYS)
            log_warning("job-manager: %s", flux_future_error_string(f));
        flux_future_destroy(TAKE(s->jobs));
        if (!again || cancel_jobs(s) < 0)
            go_on(s);
        return;
    }
    if (idle) {
        go_on(s);
        return;
    }
    if (!s->answered)
        limit_in(s, s->cleanup_limit);
    s->answered = true;
    name_jobs(s, ids, (size_t)running);
    flux_future_reset(f);
    if (running > 0)
        say(s, LOG_INFO, "waiting for %" JSON_INTEGER_FORMAT " job%s to end: %s", running,
            running == 1 ? "" : "s", s->busy);
}

static int cancel_jobs(struct shutdown *s)
{
    s->jobs =
        flux_rpc(s->m->self, "job-manager.quiesce", NULL, FLUX_NODEID_ANY, FLUX_RPC_STREAMING);
    return s->jobs && flux_future_then(s->jobs, -1., on_jobs, s) == 0 ? 0 : -errno;
}

static void begin_cleanup(struct shutdown *s)
{
    flux_t *h;
    int rc = 0;

    if (s->m->router.rank > 0 || !dial_exists(&s->m->router.dial, "job-manager")) {
        go_on(s);
        return;
    }
    if ((rc = manager_self(s->m, &h)) < 0 || (rc = cancel_jobs(s)) < 0) {
        log_err("cannot have the jobs cancelled: %s", strerror(-rc));
        go_on(s);
    }
    limit_in(s, ANSWER_SECONDS);
}

/* Nodes. */

static size_t nodes_left(const struct shutdown *s)
{
    return s->m->router.overlay ? overlay_children_connected(s->m->router.overlay) : 0;
}

static void begin_shutdown(struct shutdown *s)
{
    limit_in(s, s->children_limit);
    shutdown_on_tree(s);
}

void shutdown_on_tree(struct shutdown *s)
{
    const size_t left = nodes_left(s);

    if (s->m->state.now != STATE_SHUTDOWN)
        return;
    if (left == 0) {
        go_on(s);
        return;
    }
    overlay_name_children(s->m->router.overlay, s->busy, sizeof(s->busy));
    say(s, LOG_DEBUG, "waiting for %zu node%s to leave: %s", left, left == 1 ? "" : "s", s->busy);
}

/* The last things. */

static void on_finish(flux_future_t *f, void *arg)
{
    struct shutdown *s = arg;

    if (flux_future_get(f, NULL) == 0)
        runlog_finished(&s->m->runlog);
    else if (errno != ENOSYS)
        log_warning("the end of this run is not in the list of flux startlog: %s",
                    flux_future_error_string(f));
    if (!is_held(s))
        go_on(s);
}

static void begin_finalize(struct shutdown *s)
{
    struct manager *m = s->m;
    flux_t *h;

    if (m->router.rank > 0 || !dial_exists(&m->router.dial, "kvs") || manager_self(m, &h) < 0) {
        go_on(s);
        return;
    }
    tell(s, LOG_INFO, "");
    s->finish = runlog_post_finish(&m->runlog, h);
    if (!s->finish || flux_future_then(s->finish, -1., on_finish, s) < 0)
        go_on(s);
    if (!is_held(s))
        limit_in(s, s->mute ? MUTE_SECONDS : FINALIZE_SECONDS);
}

/* This node. */

static void begin_goodbye(struct shutdown *s)
{
    struct shutdown_waiter *w, *tmp;

    TAILQ_FOREACH_SAFE (w, &s->waiters, entry, tmp) {
        (void)request_end(w->req);
        waiter_free(w);
    }
    manager_leave(s->m);
}

static void enter(struct shutdown *s, enum broker_state state, const char *why)
{
    static void (*const begin[STATE_COUNT])(struct shutdown *) = {
        [STATE_CLEANUP] = begin_cleanup,
        [STATE_SHUTDOWN] = begin_shutdown,
        [STATE_FINALIZE] = begin_finalize,
        [STATE_GOODBYE] = begin_goodbye,
    };

    flux_watcher_stop(s->limit);
    flux_watcher_stop(s->next);
    manager_set_state(s->m, state, why);
    begin[state](s);
}

static void on_next(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct shutdown *s = arg;

    flux_watcher_stop(w);
    switch (s->m->state.now) {
    case STATE_CLEANUP:
        enter(s, STATE_SHUTDOWN, "no job runs");
        break;
    case STATE_SHUTDOWN:
        enter(s, STATE_FINALIZE, "the nodes below have left");
        break;
    case STATE_FINALIZE:
        enter(s, STATE_GOODBYE, "everything is stored");
        break;
    default:
        break;
    }
}

static void on_limit(flux_reactor_t *r, flux_watcher_t *w, int revents, void *arg)
{
    struct shutdown *s = arg;

    switch (s->m->state.now) {
    case STATE_CLEANUP:
        s->mute = !s->answered;
        say(s, LOG_WARNING, "not waiting any longer for jobs: %s",
            s->busy[0] ? s->busy : "job-manager does not answer");
        enter(s, STATE_SHUTDOWN, "broker.cleanup-timeout");
        break;
    case STATE_SHUTDOWN:
        say(s, LOG_WARNING, "not waiting any longer for nodes: %s", s->busy);
        enter(s, STATE_FINALIZE, "broker.shutdown-timeout");
        break;
    case STATE_FINALIZE:
        say(s, LOG_WARNING, "the KVS does not answer");
        enter(s, STATE_GOODBYE, "the limit");
        break;
    default:
        break;
    }
}

/* --- */

static void on_gone(struct request *req, void *arg)
{
    struct shutdown_waiter *w = arg;
    struct shutdown *s = w->shutdown;
    const bool held = w->hold;

    waiter_free(w);
    if (held && s->m->state.now == STATE_FINALIZE && !is_held(s))
        go_on(s);
}

static int add_waiter(struct shutdown *s, struct request *req, bool hold)
{
    struct shutdown_waiter *w = calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    w->shutdown = s;
    w->req = request_ref(req);
    w->hold = hold;
    TAILQ_INSERT_TAIL(&s->waiters, w, entry);
    request_on_gone(req, on_gone, w);
    return request_respond_pack(req, "{s:s s:i s:s}", "state", state_name(s->m->state.now), "level",
                                LOG_DEBUG, "text", "");
}

int shutdown_request(struct shutdown *s, struct request *req, bool hold)
{
    const enum broker_state now = s->m->state.now;
    int rc = 0;

    if (s->m->router.rank > 0)
        return request_explain(req, EINVAL, "only rank 0 can shut the instance down");
    if (hold && now >= STATE_FINALIZE)
        return request_explain(req, EBUSY, "the instance is nearly shut down already");
    if (request_is_streaming(req))
        rc = add_waiter(s, req, hold);
    else
        rc = request_respond(req, NULL);
    if (rc == 0 && !state_is_ending(&s->m->state)) {
        log_notice("the instance is shut down by user %u", request_userid(req));
        enter(s, STATE_CLEANUP, "shutdown was asked for");
    }
    return rc;
}

void shutdown_begin_follower(struct shutdown *s)
{
    enter(s, STATE_SHUTDOWN, "the instance is shut down");
}

/* --- the beginning is noted in the KVS as the end is */

static void on_noted(flux_future_t *f, void *arg)
{
    struct shutdown *s = arg;

    if (flux_future_get(f, NULL) == 0)
        runlog_started(&s->m->runlog);
    else if (errno != ENOSYS)
        log_warning("this run is not in the list of flux startlog: %s",
                    flux_future_error_string(f));
    flux_future_destroy(TAKE(s->start));
}

void shutdown_note_start(struct shutdown *s)
{
    struct manager *m = s->m;
    flux_t *h;

    if (m->runlog.resumed || !dial_exists(&m->router.dial, "kvs") || manager_self(m, &h) < 0)
        return;
    s->start = runlog_post_start(&m->runlog, h);
    if (!s->start || flux_future_then(s->start, -1., on_noted, s) < 0)
        log_warning("this run is not in the list of flux startlog: %s", strerror(errno));
}

int shutdown_init(struct shutdown *s, struct manager *m)
{
    flux_reactor_t *r = service_reactor(m->svc);

    s->m = m;
    TAILQ_INIT(&s->waiters);
    s->limit = flux_timer_watcher_create(r, 0., 0., on_limit, s);
    s->next = flux_idle_watcher_create(r, on_next, s);
    return s->limit && s->next ? 0 : -ENOMEM;
}

void shutdown_deinit(struct shutdown *s)
{
    struct shutdown_waiter *w, *tmp;

    if (!s->m)
        return;
    TAILQ_FOREACH_SAFE (w, &s->waiters, entry, tmp)
        waiter_free(w);
    flux_future_destroy(s->start);
    flux_future_destroy(s->jobs);
    flux_future_destroy(s->finish);
    flux_watcher_destroy(s->limit);
    flux_watcher_destroy(s->next);
    *s = (struct shutdown){ .m = NULL };
}
